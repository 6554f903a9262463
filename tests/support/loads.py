"""Measures the embedded stack under load and prints a table: ``python -m benchmarks.stack.embedded_stack``.

tests/stack puts the same loads on the stack and checks their outcomes. The figures are for docs/measurements.md.
"""

import statistics
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from rich.console import Console
from rich.table import Table

from local.client import ApiClient, submission
from local.images.pictures import Format, make_image
from local.images.server import ImageServer
from local.stack.process import StackProcess
from tests.support.memory import PeakMemory

_T = TypeVar("_T")
STORES = ("S00339218", "S01408764")
IMAGE_BYTES = 100_000
# Far more than a job takes on a busy machine, so only a job that hangs reaches it.
END_SECONDS = 120.0
_FORMATS = (Format.JPEG, Format.JPEG, Format.JPEG, Format.PNG, Format.WEBP, Format.GIF)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A job that has ended.

    Attributes
    ----------
    status
        As the API returns it.
    images
        How many images its results have.
    wrong
        URLs whose image was measured wrongly, or not at all.
    seconds
        From its submission to its end.
    """

    status: str
    images: int
    wrong: list[str]
    seconds: float


@dataclass(frozen=True, slots=True)
class Burst:
    """Many submissions at once: responses by status code, jobs by final status, times, and the peak of memory."""

    codes: dict[int, int]
    statuses: dict[str, int]
    accepted_seconds: float
    seconds: float
    peak_bytes: int
    peak_processes: int


@dataclass(frozen=True, slots=True)
class LargeJob:
    """A job of very many images: its submission, and its median status time next to that of a job of two images."""

    code: int
    accepted_seconds: float
    large_status_seconds: float
    small_status_seconds: float
    large_status: str


def add_images(server: ImageServer, count: int, size: int = IMAGE_BYTES) -> dict[str, int]:
    """Serve images of different dimensions and at least so many bytes, and return their perimeters by URL."""
    perimeters = {}
    for number in range(count):
        kind = _FORMATS[number % len(_FORMATS)]
        width, height = 200 + number, 150 + number % 7
        content = make_image(kind, width, height, bytes_at_least=size, seed=number)
        perimeters[server.add(f"/{number}.{kind.lower()}", content)] = 2 * (width + height)
    return perimeters


def run_job(client: ApiClient, perimeters: Mapping[str, int], images_per_visit: int = 4) -> Outcome:
    """Submit every image once, and compare the results with the images."""
    urls = list(perimeters)
    parts = [urls[start : start + images_per_visit] for start in range(0, len(urls), images_per_visit)]
    begin = time.monotonic()
    job = client.submit(*((STORES[number % 2], part) for number, part in enumerate(parts)))
    status = client.wait(job, END_SECONDS)["status"]
    seconds = time.monotonic() - begin
    rows = list(client.results(job))
    wrong = [row["url"] for row in rows if row["perimeter"] != perimeters[row["url"]] or row["outcome"] != "measured"]
    return Outcome(status, len({row["url"] for row in rows}), wrong, seconds)


def run_burst(stack: StackProcess, urls: list[str], count: int) -> Burst:
    """Submit many jobs of the same images at once, and wait until all have ended."""
    together = threading.Barrier(count)

    def submit(client: ApiClient) -> tuple[int, int | None]:
        together.wait()
        answer = client.post("/api/submit", submission((STORES[0], urls)))
        return answer.status_code, answer.json().get("job_id")

    with (
        PeakMemory(stack.pid) as memory,
        ApiClient(stack.url, stack.api_key, connections=count) as client,
        ThreadPoolExecutor(count) as pool,
    ):
        begin = time.monotonic()
        answers = [future.result() for future in [pool.submit(submit, client) for _ in range(count)]]
        accepted = time.monotonic() - begin
        statuses = [client.wait(job, END_SECONDS)["status"] for _, job in answers if job is not None]
        seconds = time.monotonic() - begin
    return Burst(
        _counted([code for code, _ in answers]),
        _counted(statuses),
        accepted,
        seconds,
        memory.peak_bytes,
        memory.peak_processes,
    )


def submit_large_job(client: ApiClient, url: str, count: int, requests: int = 20) -> LargeJob:
    """Submit a job of very many images, and request its status in turns with that of a job of two images."""
    body = submission(*((STORES[0], [f"{url}?{visit}.{image}" for image in range(4)]) for visit in range(count // 4)))
    begin = time.monotonic()
    answer = client.post("/api/submit", body)
    accepted = time.monotonic() - begin
    large = answer.json()["job_id"]
    small = client.submit((STORES[0], [f"{url}?1", f"{url}?2"]))
    times: dict[int, list[float]] = {large: [], small: []}
    status = ""
    for _ in range(requests):
        for job in (large, small):
            begin = time.monotonic()
            response = client.get("/api/status", jobid=job)
            times[job].append(time.monotonic() - begin)
            status = response.json()["status"] if job == large else status
    medians = {job: statistics.median(values) for job, values in times.items()}
    return LargeJob(answer.status_code, accepted, medians[large], medians[small], status)


def _counted(values: list[_T]) -> dict[_T, int]:
    return {value: values.count(value) for value in set(values)}


def main() -> int:
    """Measure everything, print a table and return the exit status."""
    table = Table("what", "figure", title="The embedded stack")
    for column in table.columns:
        column.no_wrap = True
    row: Callable[[str, str], None] = table.add_row
    begin = time.monotonic()
    with ImageServer() as server, StackProcess() as stack, ApiClient(stack.url, stack.api_key) as client:
        row("from the command to ready", f"{time.monotonic() - begin:.1f} s")
        perimeters = add_images(server, 1000)
        for name in ("first", "second"):
            outcome = run_job(client, perimeters)
            row(
                f"1,000 images of 100 KB with delays, {name} run",
                f"{outcome.seconds:.1f} s, {outcome.status}, {outcome.images - len(outcome.wrong)} right",
            )
        burst = run_burst(stack, list(perimeters)[:5], 200)
        row("200 submissions at once", f"{burst.codes} in {burst.accepted_seconds:.1f} s")
        row("  all of them ended", f"{burst.statuses} after {burst.seconds:.1f} s")
        row(
            "  peak of memory of the whole stack",
            f"{burst.peak_bytes / 2**20:.0f} MB in {burst.peak_processes} processes",
        )
        large = submit_large_job(client, next(iter(perimeters)), 20_000)
        row("20,000 images in one POST", f"{large.code} in {large.accepted_seconds:.2f} s")
        row("  its status, while it runs", f"{large.large_status_seconds * 1000:.0f} ms, {large.large_status}")
        row("  the status of a job of two", f"{large.small_status_seconds * 1000:.0f} ms")
        begin = time.monotonic()
    row("from SIGTERM to the end, in the middle of that job", f"{time.monotonic() - begin:.1f} s")
    Console(width=110).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
