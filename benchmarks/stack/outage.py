"""Takes an image server down for a while and reports the effect: `python -m benchmarks.stack.outage --seconds 120`.

Jobs with images of two servers are submitted to the embedded stack. One server refuses connections at first, and later
comes back on the same port. The jobs must complete by themselves, without fetching a measured image again.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from local.client import ApiClient
from local.images.pictures import Format, make_image
from local.images.server import ImageServer
from local.stack.process import StackProcess

_STORE = "S00339218"
_IMAGES = 10
# Waits double and are random, so the last one can be several times as long as the outage.
_END_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Outage:
    """The effect of an outage.

    Parameters
    ----------
    statuses
        The final statuses of the jobs.
    up_requests, down_requests
        Number of requests per image, for the server that was up and the one that came back.
    ended_after
        Seconds from the server's return until each job had ended for its client, in ascending order.
    """

    statuses: Counter[str]
    up_requests: list[int]
    down_requests: list[int]
    ended_after: list[float]


def measure(stack: StackProcess, seconds: float, jobs: int) -> Outage:
    """Submit jobs, keep a server down for some seconds, and wait until the jobs end."""
    picture = make_image(Format.JPEG, 120, 90)
    paths = [f"/{job}/{image}.jpg" for job in range(jobs) for image in range(_IMAGES)]
    with ImageServer() as reserved:
        port = reserved.port
    with ImageServer() as up, ApiClient(stack.url, stack.api_key) as client:
        for path in paths:
            up.add(path, picture)
        ids = []
        for job in range(jobs):
            own = [path for path in paths if path.startswith(f"/{job}/")]
            ids.append(client.submit((_STORE, [*map(up.url, own), *(f"http://127.0.0.1:{port}{p}" for p in own)])))
        time.sleep(seconds)
        with ImageServer(port=port) as back:
            for path in paths:
                back.add(path, picture)
            returned = time.monotonic()

            def wait(job_id: int) -> tuple[str, float]:
                return client.wait(job_id, _END_SECONDS)["status"], time.monotonic() - returned

            with ThreadPoolExecutor(len(ids)) as threads:
                statuses, ended_after = zip(*threads.map(wait, ids), strict=True)
            down_requests = [len(back.requests_of(path)) for path in paths]
        return Outage(
            Counter(statuses), [len(up.requests_of(path)) for path in paths], down_requests, sorted(ended_after)
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stack.outage", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120, help="time the server is down (default: 120)")
    parser.add_argument("--jobs", type=int, default=20, help=f"jobs of {2 * _IMAGES} images (default: 20)")
    options = parser.parse_args(arguments)
    with StackProcess() as stack:
        outage = measure(stack, options.seconds, options.jobs)
    images = len(outage.up_requests)
    print(
        f"{options.jobs} jobs, {images} images on a server that was up, {images} on one down for {options.seconds:g} s"
    )
    middle = outage.ended_after[len(outage.ended_after) // 2]
    print(f"ended as {dict(outage.statuses)}")
    print(f"after the server's return: half of them in {middle:.0f} s, the last one in {outage.ended_after[-1]:.0f} s")
    print(f"max requests per image: {max(outage.up_requests)} where the server was up, {max(outage.down_requests)} "
          "where it came back")  # fmt: skip
    succeeded = (
        outage.statuses == {"completed": options.jobs}
        and set(outage.up_requests) == {1}
        and set(outage.down_requests) == {1}
    )
    return 0 if succeeded else 1


if __name__ == "__main__":
    sys.exit(main())
