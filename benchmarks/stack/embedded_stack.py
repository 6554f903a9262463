"""What the embedded stack bears: ``python -m benchmarks.stack.embedded_stack`` measures and prints it.

The same loads run as tests in tests/stack, which look at the outcomes; the figures are for the documentation.
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

from benchmarks.harness.memory import PeakMemory
from local.client import ApiClient, submission
from local.images.pictures import Format, make_image
from local.images.server import ImageServer
from local.stack.process import StackProcess

_T = TypeVar("_T")
STORES = ("S00339218", "S01408764")
IMAGE_BYTES = 100_000
# A job on a busy machine; far beyond what is promised, so that only what hangs runs into it.
END_SECONDS = 120.0
_FORMATS = (Format.JPEG, Format.JPEG, Format.JPEG, Format.PNG, Format.WEBP, Format.GIF)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One job that has ended.

    Attributes
    ----------
    status
        As the API says it.
    images
        How many rows its results have.
    wrong
        The URLs that were not measured as their files are.
    seconds
        From the submission to the end.
    """

    status: str
    images: int
    wrong: list[str]
    seconds: float


@dataclass(frozen=True, slots=True)
class Burst:
    """Many submissions at once: how many answers of each status code, how each job ended, and the peak of memory."""

    codes: dict[int, int]
    statuses: dict[str, int]
    accepted_seconds: float
    seconds: float
    peak_bytes: int
    peak_processes: int


@dataclass(frozen=True, slots=True)
class LargeJob:
    """A job of very many images: how it was accepted, and status answers of it and of a job of two, taken in turns."""

    code: int
    accepted_seconds: float
    large_status_seconds: float
    small_status_seconds: float
    large_status: str


def add_images(server: ImageServer, count: int, size: int = IMAGE_BYTES) -> dict[str, int]:
    """Serve images of some bytes, each of other dimensions; return the perimeters by URL."""
    perimeters = {}
    for number in range(count):
        kind = _FORMATS[number % len(_FORMATS)]
        width, height = 200 + number, 150 + number % 7
        content = make_image(kind, width, height, bytes_at_least=size, seed=number)
        perimeters[server.add(f"/{number}.{kind.lower()}", content)] = 2 * (width + height)
    return perimeters


def run_job(client: ApiClient, perimeters: Mapping[str, int], images_a_visit: int = 4) -> Outcome:
    """Submit every image once and compare what was measured."""
    urls = list(perimeters)
    parts = [urls[start : start + images_a_visit] for start in range(0, len(urls), images_a_visit)]
    begin = time.monotonic()
    job = client.submit(*((STORES[number % 2], part) for number, part in enumerate(parts)))
    status = client.wait(job, END_SECONDS)["status"]
    seconds = time.monotonic() - begin
    rows = list(client.results(job))
    wrong = [row["url"] for row in rows if row["perimeter"] != perimeters[row["url"]] or row["outcome"] != "measured"]
    return Outcome(status, len({row["url"] for row in rows}), wrong, seconds)


def run_burst(stack: StackProcess, urls: list[str], count: int) -> Burst:
    """Submit many jobs of the same images at once and wait for all of them."""
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


def submit_large_job(client: ApiClient, url: str, count: int, sweeps: int = 20) -> LargeJob:
    """Submit a job of very many images and ask for its status, in turns with that of a job of two."""
    body = submission(*((STORES[0], [f"{url}?{visit}.{image}" for image in range(4)]) for visit in range(count // 4)))
    begin = time.monotonic()
    answer = client.post("/api/submit", body)
    accepted = time.monotonic() - begin
    large = answer.json()["job_id"]
    small = client.submit((STORES[0], [f"{url}?1", f"{url}?2"]))
    times: dict[int, list[float]] = {large: [], small: []}
    status = ""
    for _ in range(sweeps):
        for job in (large, small):
            begin = time.monotonic()
            seen = client.get("/api/status", jobid=job)
            times[job].append(time.monotonic() - begin)
            status = seen.json()["status"] if job == large else status
    medians = {job: statistics.median(values) for job, values in times.items()}
    return LargeJob(answer.status_code, accepted, medians[large], medians[small], status)


def _counted(values: list[_T]) -> dict[_T, int]:
    return {value: values.count(value) for value in set(values)}


def main() -> int:
    """Measure everything and print a table."""
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
            "  most memory of the whole stack",
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
