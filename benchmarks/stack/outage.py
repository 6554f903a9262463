"""Take an image server down for a while, and show what it costs: `python -m benchmarks.stack.outage --seconds 120`.

Jobs are submitted to the embedded stack with images of two servers, of which one refuses connections at first and then
comes back on the same port. Nobody helps: the jobs have to complete, and no image that was measured is fetched again.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from local.client import ApiClient
from local.image_server import ImageServer
from local.images import Format, make_image
from local.process import StackProcess

_STORE = "S00339218"
_IMAGES = 10
# The waits double, and each is drawn from nothing up to its bound: the last one may be some times the outage.
_END_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Outage:
    """What an outage came to.

    Parameters
    ----------
    statuses
        Of the jobs at their end.
    up_requests, down_requests
        Requests of each image, at the server that was up and at the one that came back.
    ended_after
        Seconds from the server's return to each job's end, as the client sees it, in ascending order.
    """

    statuses: Counter[str]
    up_requests: list[int]
    down_requests: list[int]
    ended_after: list[float]


def measure(stack: StackProcess, seconds: float, jobs: int) -> Outage:
    """Submit jobs, keep a server down for some seconds, and wait for the jobs to end."""
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
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stack.outage", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120, help="how long the server is down (default: 120)")
    parser.add_argument("--jobs", type=int, default=20, help=f"jobs of {2 * _IMAGES} images (default: 20)")
    options = parser.parse_args(arguments)
    with StackProcess() as stack:
        outage = measure(stack, options.seconds, options.jobs)
    images = len(outage.up_requests)
    print(
        f"{options.jobs} jobs, {images} images of a server that was up, {images} of one down for {options.seconds:g} s"
    )
    middle = outage.ended_after[len(outage.ended_after) // 2]
    print(f"ended as {dict(outage.statuses)}")
    print(f"after the server's return: half of them in {middle:.0f} s, the last one in {outage.ended_after[-1]:.0f} s")
    print(f"requests of an image: {max(outage.up_requests)} where the server was up, {max(outage.down_requests)} where "
          "it came back")  # fmt: skip
    is_well = (
        outage.statuses == {"completed": options.jobs}
        and set(outage.up_requests) == {1}
        and set(outage.down_requests) == {1}
    )
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
