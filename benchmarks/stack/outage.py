"""Takes an image server down for a while and reports the effect: `python -m benchmarks.stack.outage --seconds 120`.

Jobs with images of two servers are submitted to the embedded stack. One server refuses connections at first, and later
comes back on the same port. The jobs must complete by themselves, without fetching a measured image again.
"""

import argparse
import sys
from collections.abc import Sequence

from local.stack.process import StackProcess
from tests.support.loads import OUTAGE_IMAGES, run_outage


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stack.outage", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120, help="time the server is down (default: 120)")
    parser.add_argument("--jobs", type=int, default=20, help=f"jobs of {2 * OUTAGE_IMAGES} images (default: 20)")
    options = parser.parse_args(arguments)
    with StackProcess() as stack:
        outage = run_outage(stack, options.seconds, options.jobs)
    images = len(outage.up_requests)
    down = f"{images} on one down for {options.seconds:g} s"
    print(f"{options.jobs} jobs, {images} images on a server that was up, {down}")
    middle = outage.ended_after[len(outage.ended_after) // 2]
    print(f"ended as {dict(outage.statuses)}")
    print(f"after the server's return: half of them in {middle:.0f} s, the last one in {outage.ended_after[-1]:.0f} s")
    print(f"max requests per image: {max(outage.up_requests)} where the server was up, {max(outage.down_requests)} "
          "where it came back")  # fmt: skip
    each_once = set(outage.up_requests) == set(outage.down_requests) == {1}
    return 0 if each_once and outage.statuses == {"completed": options.jobs} else 1


if __name__ == "__main__":
    sys.exit(main())
