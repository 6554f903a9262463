"""The whole pipeline on a table and a queue in memory, with a clock that the tests move."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TypeVar

from retail_pulse.api.answers import MAX_LIST_BYTES, failed_store_size, result_size
from retail_pulse.domain.chunks import Pointer
from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.domain.jobs import ClientRetryPolicy, Job, SweepPolicy
from retail_pulse.domain.outcomes import Failure, Measured, Outcome
from retail_pulse.domain.retries import RetryPolicy
from retail_pulse.domain.stores import Store
from retail_pulse.domain.visits import Visit
from retail_pulse.use_cases.batch import BatchReport, Delivery
from retail_pulse.use_cases.chunk_measurer import ChunkMeasurer
from retail_pulse.use_cases.image_pool import ImagePool
from retail_pulse.use_cases.image_rows import Position
from retail_pulse.use_cases.processing import Processing
from retail_pulse.use_cases.reading import Reading
from retail_pulse.use_cases.reprocessing import Reprocessing, ReprocessReport
from retail_pulse.use_cases.retrying import Retrying
from retail_pulse.use_cases.submission import Submission
from retail_pulse.use_cases.usage import Usage
from tests.faults.checker import Contents, Truth, check
from tests.support.fakes import FakeQueue, FakeTable, Killed, PoolWithoutThreads

START = datetime(2026, 11, 23, 12, tzinfo=UTC)
STALL = 900
STORES = {name: Store(name, f"Store {name}", "7100015") for name in ("A", "B")}
GOOD = Measured("PNG", 5, 5, 100)
BUSY = MeasuringError(FailureCode.HTTP_STATUS, "503 from the server", passing=True)
GONE = MeasuringError(FailureCode.HTTP_STATUS, "404 from the server", passing=False)
ONE = Visit("A", "now", ["a"])
# Measures an image by its URL and the seconds since the start, or raises `MeasuringError`.
Measure = Callable[[str, float], Measured]
Target = TypeVar("Target")
# A client of these tests retries a job whenever a run has ended.
AT_ANY_TIME = ClientRetryPolicy(min_seconds=0, max_retries=10**6)
# Every wait is a wait in the queue: no test sleeps.
RETRIES = RetryPolicy(12, 1800, first_wait_seconds=1, max_wait_seconds=900, inline_wait_seconds=0)


def good(_url: str, _seconds: float) -> Measured:
    return GOOD


def down(error: MeasuringError, until: float, *, only: str = "") -> Measure:
    """Return an image server that fails with an error until some time, for URLs that start with ``only``."""

    def measure(url: str, seconds: float) -> Measured:
        if url.startswith(only) and seconds < until:
            raise error
        return GOOD

    return measure


class World:
    """The whole pipeline.

    Parameters
    ----------
    measure
        Measures images; ``fetched`` holds each call with its time, ``attempts`` the outcomes by URL.
    retries, automatic_runs
        See `RetryPolicy` and `SweepPolicy`.
    pool
        Makes the pool from a function that measures; the default pool has no threads.
    draw
        Draws the random numbers of waits.
    max_unsaved_seconds
        After how long measured images are saved while others of their chunk are not ready.
    start_seconds
        How long a batch may start images.
    """

    chunk_images = 3

    def __init__(
        self,
        measure: Measure = good,
        retries: RetryPolicy = RETRIES,
        automatic_runs: int = 0,
        pool: Callable[[Callable[[str], Measured]], ImagePool] = PoolWithoutThreads,
        draw: Callable[[], float] = lambda: 1.0,
        max_unsaved_seconds: float = 0.75,
        start_seconds: float = 15.0,
    ) -> None:
        self.clock = START
        self.table = FakeTable()
        self.queue = FakeQueue(self.now)
        self.fetched: list[tuple[datetime, str]] = []
        self.attempts: defaultdict[str, list[Outcome]] = defaultdict(list)
        self._measure = measure
        sweeps = SweepPolicy(STALL, automatic_runs)
        table, queue = self.shared(self.table), self.shared(self.queue)
        self.usage = Usage(table, self.now)
        self.submission = Submission(
            table, queue, self.usage, self.chunk_images, 10**6, timedelta(days=90), timedelta(seconds=STALL), self.now
        )
        measurer = ChunkMeasurer(STORES.__contains__, pool(self.fetch), retries, self.now, draw, max_unsaved_seconds)
        self.processing = Processing(table, queue, measurer, sweeps, self.now, draw, start_seconds)
        self.reprocessing = Reprocessing(table, queue, sweeps, self.now)
        self.retrying = Retrying(table, queue, sweeps, self.now, AT_ANY_TIME)
        self.reading = Reading(table, STORES.get, result_size, failed_store_size, MAX_LIST_BYTES, self.now)
        self._ids = count()

    def shared(self, target: Target) -> Target:
        """Return what the use cases get as the table or the queue."""
        return target

    def now(self) -> datetime:
        return self.clock

    def fetch(self, url: str) -> Measured:
        self.fetched.append((self.clock, url))
        try:
            measured = self._measure(url, (self.clock - START).total_seconds())
        except MeasuringError as error:
            self.attempts[url].append(Failure.of(error, len(self.attempts[url]) + 1))
            raise
        self.attempts[url].append(measured)
        return measured

    def submit(self, *visits: Visit, client: str = "me") -> Job:
        return self.submission.submit(client, visits or [Visit("A", "2026-11-23", ["a", "b", "c"])])

    def deliver(
        self, receives: int = 1, may_start: Callable[[], bool] = lambda: True, copies: int = 1, limit: int = 10**6
    ) -> tuple[list[Pointer], BatchReport]:
        """Deliver what is visible, up to a limit; return it with the report. Failed messages are visible again."""
        pointers = self.queue.take(limit) * copies
        by_id = {str(next(self._ids)): pointer for pointer in pointers}
        try:
            report = self.processing.process(
                [Delivery(message_id, pointer, receives) for message_id, pointer in by_id.items()], may_start
            )
        except Killed:
            self.queue.put_back(pointers)
            raise
        self.queue.put_back(by_id[message_id] for message_id in report.failed_messages)
        return pointers, report

    def sweep(self) -> ReprocessReport:
        return self.reprocessing.sweep()

    def run_out(self) -> None:
        """Deliver messages, each at its time, until the queue is empty."""
        while (visible_at := self.queue.next_visible_at()) is not None:
            self.clock = max(self.clock, visible_at)
            self.deliver()

    def job(self, job: Job) -> Job:
        return self.reading.job(job.client, job.job_id)

    def ended(self, job: Job) -> Job:
        """Deliver all messages, then read a job."""
        self.run_out()
        return self.job(job)

    def outcomes(self, job: Job) -> list[Outcome | None]:
        """Read the outcomes of a job's images, in the order of the body."""
        return [row.shown.outcome for row in self.reading.results("me", job.job_id, Position(0, 0), 1000).rows]

    def violations(self, accepted: Iterable[int], deaths: int = 0) -> list[str]:
        """Check the table at rest, with the ids of accepted jobs and how many workers died."""
        urls = {url for chunk in self.table.stored.values() for part in chunk.parts for url in part.image_urls}
        truth = {url: Truth.of(self.attempts[url]) for url in urls}
        deaths_of = {f"{key.nonce}#{key.number}": deaths for key in self.table.stored}
        jobs = [("me", job_id) for job_id in accepted]
        return check(Contents.of_fake(self.table), truth, STORES.__contains__, deaths_of, jobs)

    def fetched_urls(self) -> list[str]:
        """Return which images were fetched, in order."""
        return [url for _, url in self.fetched]

    def fetches_of(self, url: str) -> list[float]:
        """Return when an image was fetched, in seconds since the start."""
        return [(at - START).total_seconds() for at, fetched in self.fetched if fetched == url]
