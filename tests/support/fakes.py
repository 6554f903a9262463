"""The table and the queue in memory, for tests of the use cases.

`tests/adapters` checks that the table in memory does what DynamoDB does.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, TypeVar

from retail_pulse.domain.chunks import Chunk, ChunkKey, Pointer
from retail_pulse.domain.errors import JobIdTakenError, StorageUnavailableError
from retail_pulse.domain.failures import MeasuringError
from retail_pulse.domain.hosts import Hosts, Slot
from retail_pulse.domain.idempotency import Claim
from retail_pulse.domain.image_requests import ImageRequest
from retail_pulse.domain.jobs import ChunkVerdict, Job, JobStatus, Reopening, numbers
from retail_pulse.domain.outcomes import AfterFailure, Failure, Measured, Outcome, RetryInline
from retail_pulse.domain.retries import Attempts
from retail_pulse.domain.usage import DailyLimitError, DayUsage
from retail_pulse.domain.visits import VisitRow
from retail_pulse.use_cases.attempts_line import PooledImage
from retail_pulse.use_cases.image_pool import ImagePool, Measure

K = TypeVar("K")
Item = TypeVar("Item", Chunk, Job)


class Killed(BaseException):
    """The death of a worker; nothing in the package may catch it."""


@dataclass
class Faults:
    """Makes the n-th write fail: before it is done, after it was done, or by a refusal."""

    writes: int = 0
    die_before: int | None = None
    die_after: int | None = None
    refuse: int | None = None

    def before(self) -> None:
        self.writes += 1
        if self.writes == self.die_before:
            raise Killed
        if self.writes == self.refuse:
            raise StorageUnavailableError("refused by the test")

    def after(self) -> None:
        if self.writes == self.die_after:
            raise Killed


class FakeTable:
    """Holds what the real table holds, with the same conditions."""

    def __init__(self) -> None:
        self.jobs: dict[tuple[str, int], Job] = {}
        self.stored: dict[ChunkKey, Chunk] = {}
        self.rows: dict[tuple[int, int, int], VisitRow] = {}
        self.claims: dict[tuple[str, str], Claim] = {}
        self.used: dict[tuple[str, date], DayUsage] = {}
        self.faults = Faults()
        # Clients whose visit rows the table does not accept.
        self.refused_clients: set[str] = set()

    def _update(
        self, items: dict[K, Item], key: K, run: int, change: Callable[[Item], Item],
        condition: Callable[[Item], bool] = lambda _: True,
    ) -> Item | None:  # fmt: skip
        """Change an item that is at this run and meets the condition; return it, or None."""
        self.faults.before()
        now = items.get(key)
        if now is None or now.run != run or not condition(now):
            return None
        items[key] = change(now)
        self.faults.after()
        return items[key]

    def put_chunks(self, nonce: str, chunks: Sequence[Chunk], job_expires_at: int) -> None:
        self.faults.before()
        for chunk in chunks:
            self.stored[ChunkKey(nonce, chunk.number)] = replace(chunk, job_expires_at=job_expires_at)
        self.faults.after()

    def put_job(self, job: Job) -> None:
        self.faults.before()
        if self.jobs.setdefault((job.client, job.job_id), job).nonce != job.nonce:
            raise JobIdTakenError("taken")
        self.faults.after()

    def chunks(self, keys: Collection[ChunkKey]) -> dict[ChunkKey, Chunk]:
        return {key: self.stored[key] for key in keys if key in self.stored}

    def reopen_chunk(self, key: ChunkKey, chunk: Chunk, run: int, images: Collection[int]) -> Chunk | None:
        return self._update(self.stored, key, chunk.run, lambda now: replace(
            now, run=run, outcomes={index: outcome for index, outcome in now.outcomes.items() if index not in images},
            attempts=now.attempts_after_reopening(images), turn=0, starts=0, starting=None, lease=0,
        ))  # fmt: skip

    def save_chunk(self, key: ChunkKey, run: int, outcomes: Mapping[int, Outcome]) -> Chunk | None:
        return self._update(self.stored, key, run, lambda now: replace(now, outcomes={**outcomes, **now.outcomes}))

    def requeue_chunk(
        self, key: ChunkKey, chunk: Chunk, outcomes: Mapping[int, Outcome], attempts: Mapping[int, Attempts]
    ) -> Chunk | None:
        return self._update(self.stored, key, chunk.run, lambda now: replace(
            now, outcomes={**outcomes, **now.outcomes}, attempts={**now.attempts, **attempts}, turn=now.turn + 1,
            starts=0, starting=None, lease=0,
        ), lambda now: now.turn == chunk.turn)  # fmt: skip

    def claim_exclusively(
        self, key: ChunkKey, chunk: Chunk, starting: int | None, starts: int, lease: int, now: int
    ) -> Chunk | None:
        return self._update(self.stored, key, chunk.run, lambda found: replace(
            found, starts=starts, starting=starting, lease=lease
        ), lambda found: found.lease == chunk.lease or found.lease <= now)  # fmt: skip

    def put_visit_rows(self, rows: Sequence[tuple[VisitRow, int]], seconds: float) -> Collection[VisitRow]:
        try:
            self.faults.before()
        except StorageUnavailableError:
            return [row for row, _ in rows]
        refused = [row for row, _ in rows if row.client in self.refused_clients]
        for row, _ in rows:
            if row not in refused:
                self.rows[row.job_id, row.visit, row.part] = row
        self.faults.after()
        return refused

    def add_chunks(self, client: str, job_id: int, run: int, verdicts: Collection[ChunkVerdict]) -> Job | None:
        done, failed, transient = numbers(verdicts)
        return self._update(self.jobs, (client, job_id), run, lambda now: replace(
            now, done=now.done | done, failed=now.failed | failed, transient=now.transient | transient
        ))  # fmt: skip

    def close_job(self, job: Job, status: JobStatus, ended_at: datetime, due: int | None) -> Job | None:
        return self._update(self.jobs, (job.client, job.job_id), job.run, lambda now: replace(
            now, status=status, open=False, ended_at=ended_at, due=due
        ), lambda now: now.open)  # fmt: skip

    def close_at_once(
        self, client: str, job_id: int, run: int, verdicts: Collection[ChunkVerdict], status: JobStatus,
        ended_at: datetime,
    ) -> Job | None:  # fmt: skip
        done, failed, transient = numbers(verdicts)
        return self._update(self.jobs, (client, job_id), run, lambda now: replace(
            now, done=now.done | done, failed=now.failed | failed, transient=now.transient | transient, status=status,
            open=False, ended_at=ended_at, due=None,
        ), lambda now: now.open)  # fmt: skip

    def due_jobs(self, now: int) -> Iterator[tuple[str, int]]:
        due = sorted((job.due, key) for key, job in self.jobs.items() if job.due is not None and job.due <= now)
        return iter([key for _, key in due])

    def claim_job(self, job: Job, due: int, wait: int) -> Job | None:
        return self._update(self.jobs, (job.client, job.job_id), job.run, lambda now: replace(
            now, due=due, wait=wait, done_at_sweep=len(job.done)
        ), lambda now: (now.open, now.due) == (job.open, job.due))  # fmt: skip

    def mark_due(self, job: Job, due: int) -> None:
        self.faults.before()
        now = self.jobs.get((job.client, job.job_id))
        if now is not None and now.run == job.run and now.open:
            self.jobs[job.client, job.job_id] = replace(now, due=due, wait=0)
        self.faults.after()

    def reopen_job(self, job: Job, reopening: Reopening) -> Job | None:
        again = reopening.chunks
        return self._update(self.jobs, (job.client, job.job_id), job.run, lambda now: replace(
            now, run=job.run + 1, scope=reopening.scope, open=True, status=reopening.status,
            automatic=reopening.automatic, due=reopening.due, wait=reopening.wait,
            ended_at=None if reopening.status is JobStatus.ONGOING else now.ended_at,
            retries=now.retries if reopening.retries is None else reopening.retries,
            retried_at=now.retried_at if reopening.retries is None else reopening.retried_at,
            done_at_sweep=len(job.done - again), done=now.done - again, failed=now.failed - again,
            transient=now.transient - again,
        ), lambda now: not now.open)  # fmt: skip

    def put_claim(self, claim: Claim, now: int) -> Claim:
        self.faults.before()
        key = claim.client, claim.idempotency_key
        found = self.claims.get(key)
        if found is None or found.expires_at <= now:
            self.claims[key] = claim
        self.faults.after()
        return self.claims[key]

    def move_claim(self, claim: Claim, job_id: int) -> Claim:
        self.faults.before()
        key = claim.client, claim.idempotency_key
        if self.claims[key] == claim:
            self.claims[key] = claim._replace(job_id=job_id)
        self.faults.after()
        return self.claims[key]

    def job(self, client: str, job_id: int) -> Job | None:
        return self.jobs.get((client, job_id))

    def add_usage(self, client: str, at: datetime, images: int, requests: int, limit: int | None = None) -> None:
        self.faults.before()
        day = at.date()
        used = self.used.get((client, day), DayUsage(day))
        if limit is not None and used.images + images > limit:
            raise DailyLimitError(images, used.images, limit, at)
        self.used[client, day] = DayUsage(day, used.images + images, used.requests + requests)
        self.faults.after()

    def usage(self, client: str, first: date, last: date) -> list[DayUsage]:
        return [used for (of, day), used in sorted(self.used.items()) if of == client and first <= day <= last]


@dataclass(eq=False)
class Message:
    """A message of the queue; ``receives`` is how often it was delivered."""

    pointer: Pointer
    visible_at: datetime
    receives: int = 0
    is_taken: bool = False


class FakeQueue:
    """Holds messages until their delay has passed; delivers at least once."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self.copies = 1
        self.waiting: list[Message] = []
        self.delays: list[int] = []
        self.refuses = False
        # Messages of other jobs, which are never received.
        self.others = 0

    def send(self, pointers: Sequence[Pointer], delay_seconds: int = 0) -> None:
        if self.refuses:
            raise StorageUnavailableError("refused by the test")
        visible_at = self._now() + timedelta(seconds=delay_seconds)
        self.waiting += [Message(pointer, visible_at) for pointer in pointers for _ in range(self.copies)]
        self.delays += [delay_seconds] * len(pointers)

    def backlog(self) -> int:
        return len(self.waiting) + self.others

    def put_back(self, pointers: Iterable[Pointer]) -> None:
        """Make messages visible again that were delivered."""
        self.waiting += [Message(pointer, self._now()) for pointer in pointers]

    def take(self, limit: int) -> list[Pointer]:
        """Remove and return what is visible, up to so many messages."""
        now = self._now()
        taken = [message for message in self.waiting if message.visible_at <= now][:limit]
        self.waiting = [message for message in self.waiting if message not in taken]
        return [message.pointer for message in taken]

    def next_visible_at(self) -> datetime | None:
        """Return when the next message is visible; None when there is no message."""
        return min((message.visible_at for message in self.waiting), default=None)


class PoolWithoutThreads(ImagePool):
    """Measures one image after the other in the caller's thread, without delays and waits."""

    def __init__(self, fetch: Callable[[str], Measured]) -> None:
        super().__init__(ending_slots(fetch), 1, Hosts(1), lambda _: "")

    def run(
        self,
        images: Iterable[PooledImage[Any]],
        may_start: Callable[[], bool],
        after_failure: Callable[[Any, MeasuringError], AfterFailure] = lambda _, error: Failure.of(error),
    ) -> Iterator[tuple[Any, Outcome | None] | None]:
        for image in images:
            slot = Slot(Hosts(1), "me", "", 0.0)
            result = None
            if may_start():
                result = self.attempt(image.request, slot)
            else:
                slot.cancel()
            outcome: Outcome | None = None
            if isinstance(result, MeasuringError):
                decision = after_failure(image.tag, result)
                assert not isinstance(decision, RetryInline), "a wait within the invocation needs the pool with threads"
                outcome = decision if isinstance(decision, Failure) else None
            elif isinstance(result, Measured):
                outcome = result
            yield image.tag, outcome


def ending_slots(fetch: Callable[[str], Measured]) -> Measure:
    """Return a measurer for the pool that measures by URL and ends its slots."""

    def measure(request: ImageRequest, slot: Slot) -> Measured:
        try:
            measured = fetch(request.url)
        except MeasuringError as error:
            slot.end(error)
            raise
        except BaseException:
            slot.cancel()
            raise
        slot.end()
        return measured

    return measure


def pool_of(fetch: Callable[[str], Measured], threads: int, **delays: float) -> ImagePool:
    """Return a pool for a function that measures by URL, with one host that has room for all threads."""
    return ImagePool(ending_slots(fetch), threads, Hosts(threads), lambda _: "", **delays)
