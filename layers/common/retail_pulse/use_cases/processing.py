"""Use case: a batch of pointers becomes outcomes (steps 4 to 9 of the write protocol).

The order of the writes is the point: outcomes, then visit rows, then the job's sets, then its end; the message is
acknowledged last. Whatever dies in between is done again by the next delivery, and doing it again changes nothing.
"""

import logging
import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

from retail_pulse.domain.chunks import MAX_DELAY_SECONDS, Chunk, ChunkKey, Image, Pointer
from retail_pulse.domain.errors import StorageUnavailableError
from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.domain.jobs import ChunkVerdict, Job, SweepPolicy
from retail_pulse.domain.outcomes import AfterFailure, Failure, LeaveOpen, Measured, Outcome, RetryIn
from retail_pulse.domain.retries import Attempts, RetryPolicy
from retail_pulse.domain.text import client_message
from retail_pulse.domain.visits import VisitRow
from retail_pulse.use_cases.image_pool import ImagePool, PooledImage
from retail_pulse.use_cases.steps import ClosingStore, PointerSender, close

_log = logging.getLogger(__name__)

# A message that was delivered so often without an end may be what ends the workers.
POISON_RECEIVES = 3
# A chunk alone, then its image twice: after so many starts without an end the image is given up.
MAX_STARTS = 3
_CRASHED_WORKERS = Failure(
    FailureCode.PROCESSING_ERROR, "the worker ended while measuring it, every time", is_transient=False
)


class OutcomeStore(ClosingStore, Protocol):
    """What processing needs of the table; see `JobsTable` for what each method promises."""

    def chunks(self, keys: Collection[ChunkKey]) -> dict[ChunkKey, Chunk]:
        """Read chunks."""

    def reopen_chunk(self, key: ChunkKey, chunk: Chunk, run: int, images: Collection[int]) -> Chunk | None:
        """Take a chunk to a later run."""

    def save_chunk(self, key: ChunkKey, run: int, outcomes: Mapping[int, Outcome]) -> Chunk | None:
        """Save outcomes."""

    def requeue_chunk(
        self, key: ChunkKey, chunk: Chunk, outcomes: Mapping[int, Outcome], attempts: Mapping[int, Attempts]
    ) -> Chunk | None:
        """Save what a turn came to, and begin the next one."""

    def claim_exclusively(
        self, key: ChunkKey, chunk: Chunk, starting: int | None, starts: int, lease: int, now: int
    ) -> Chunk | None:
        """Lease a chunk to one worker."""

    def put_visit_rows(self, rows: Sequence[tuple[VisitRow, int]]) -> None:
        """Store visit rows."""

    def add_chunks(self, client: str, job_id: int, run: int, verdicts: Collection[ChunkVerdict]) -> Job | None:
        """Add chunks that have ended to their job's sets."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message of the queue; ``receives`` is how often it was delivered, this time included."""

    message_id: str
    pointer: Pointer
    receives: int = 1


@dataclass(slots=True)
class BatchReport:
    """What came of a batch.

    Parameters
    ----------
    failed_messages
        Ids of the messages that the queue is to deliver again.
    measured
        Images measured by this batch.
    failures
        Images that failed, by code.
    tried_again
        Tries that failed and are followed by another one.
    dropped
        Chunks whose message was stale, or that do not exist.
    handed_on
        Chunks of which the rest was sent back to the queue: the time ran short, or images are to be tried again later.
    closed
        Jobs that this batch ended.
    """

    failed_messages: set[str] = field(default_factory=set)
    measured: int = 0
    failures: Counter[FailureCode] = field(default_factory=Counter)
    retried: int = 0
    dropped: int = 0
    requeued: int = 0
    closed: list[Job] = field(default_factory=list)


@dataclass(slots=True)
class _Work:
    """A chunk in the making.

    Parameters
    ----------
    draw
        Random number from 0 to 1 for the waits in the queue: one a chunk, so that its images come due together.
    outcomes, attempts
        Of the images that were ready, and of those to be tried again, in this delivery.
    waiting
        Images that are still in the pool.
    done
        The chunk as the table returned it once all of its images have an outcome.
    """

    pointer: Pointer
    messages: list[str]
    chunk: Chunk
    draw: float
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    attempts: dict[int, Attempts] = field(default_factory=dict)
    waiting: int = 0
    done: Chunk | None = None


class Processing:
    """Processes batches; one for the life of a worker.

    Parameters
    ----------
    store, queue
        The table and the queue.
    knows_store
        Tells whether the store master has a store.
    pool
        Measures the images.
    retries
        When an image is tried again.
    looks
        When reprocess looks at an ended job.
    now
        The clock.
    draw
        Draws random numbers from 0 to 1.
    """

    def __init__(
        self,
        store: OutcomeStore,
        queue: PointerSender,
        knows_store: Callable[[str], bool],
        pool: ImagePool,
        retries: RetryPolicy,
        sweeps: SweepPolicy,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._queue = queue
        self._knows_store = knows_store
        self._pool = pool
        self._retries = retries
        self._sweeps = sweeps
        self._now = now
        self._draw = draw

    def process(
        self,
        deliveries: Sequence[Delivery],
        may_start: Callable[[], bool] = lambda: True,
        lease_seconds: float = 900.0,
    ) -> BatchReport:
        """Process a batch.

        Parameters
        ----------
        deliveries
            Messages, of any jobs, also doubled and late.
        may_start
            Tells whether there is time left for another try of an image.
        lease_seconds
            How long this worker lives at most.

        Returns
        -------
        BatchReport
            All but its failed messages are to be acknowledged.

        Notes
        -----
        Messages that were delivered before without an end come last, one at a time: if one of them ends this worker,
        all others are saved.
        """
        report = BatchReport()
        suspects = [delivery for delivery in deliveries if delivery.receives >= POISON_RECEIVES]
        works = list(self._open([each for each in deliveries if each.receives < POISON_RECEIVES], report))
        for work in self._measured([(work, work.chunk.open_images()) for work in works], may_start, report):
            _taken(report, [work], partial(self._save, work, report))
        self._end(works, report)
        lease = int((self._now().timestamp() + lease_seconds) * 1000)
        for delivery in suspects:
            if not may_start():
                report.failed_messages.add(delivery.message_id)
                continue
            for work in self._open([delivery], report):
                _taken(report, [work], partial(self._process_exclusively, work, lease, may_start, report))
                self._end([work], report)
        return report

    def _open(self, deliveries: Sequence[Delivery], report: BatchReport) -> Iterator[_Work]:
        """Read the chunks of the batch, drop what is stale, reopen what is behind (steps 4 and 5)."""
        of_chunk: defaultdict[ChunkKey, list[Delivery]] = defaultdict(list)
        for delivery in deliveries:
            of_chunk[delivery.pointer.key].append(delivery)
        try:
            chunks = self._store.chunks(of_chunk.keys()) if of_chunk else {}
        except StorageUnavailableError as error:
            _log.warning("the batch is delivered again: %s", error)
            report.failed_messages.update(delivery.message_id for delivery in deliveries)
            return
        for key, of_this in of_chunk.items():
            newest = max((delivery.pointer for delivery in of_this), key=lambda pointer: pointer.run)
            messages = [delivery.message_id for delivery in of_this]
            try:
                chunk = self._at_run_of(newest, chunks.get(key))
            except StorageUnavailableError as error:
                _log.warning("chunk %d of job %d is delivered again: %s", newest.chunk, newest.job_id, error)
                report.failed_messages.update(messages)
                continue
            if chunk is None or all(_is_of_an_earlier_turn(delivery, chunk) for delivery in of_this):
                report.dropped += 1
            else:
                yield _Work(newest, messages, chunk, self._draw(), done=chunk if chunk.is_done else None)

    def _at_run_of(self, pointer: Pointer, chunk: Chunk | None) -> Chunk | None:
        """Return the chunk at the pointer's run, or None when the pointer is stale."""
        while chunk is not None and chunk.run < pointer.run:
            reopened = self._store.reopen_chunk(pointer.key, chunk, pointer.run, chunk.reopened_by(pointer.scope))
            if reopened is not None:
                return reopened
            chunk = self._store.chunks([pointer.key]).get(pointer.key)
        return chunk if chunk is not None and chunk.run == pointer.run else None

    def _measured(
        self,
        portions: Iterable[tuple[_Work, Iterable[Image]]],
        may_start: Callable[[], bool],
        report: BatchReport,
    ) -> Iterator[_Work]:
        """Measure images of chunks, all in one pool; yield each chunk when the last of its images is ready."""
        in_pool: list[PooledImage[tuple[_Work, Image]]] = []
        for work, images in portions:
            if work.done is not None:
                continue
            for image in images:
                if not self._knows_store(image.store_id):
                    text = client_message(f"store {image.store_id} is not in the store master")
                    work.outcomes[image.index] = Failure(FailureCode.UNKNOWN_STORE, text, is_transient=False)
                    report.failures[FailureCode.UNKNOWN_STORE] += 1
                elif (wait := self._wait(work, image)) is not None:
                    in_pool.append(PooledImage((work, image), image.url, wait))
                    work.waiting += 1
            if not work.waiting:
                yield work
        for (work, image), outcome in self._pool.run(in_pool, may_start, partial(self._after_failure, report)):
            if outcome is not None:
                work.outcomes[image.index] = outcome
            if isinstance(outcome, Measured):
                report.measured += 1
            elif isinstance(outcome, Failure):
                report.failures[outcome.code] += 1
            work.waiting -= 1
            if not work.waiting:
                yield work

    def _wait(self, work: _Work, image: Image) -> float | None:
        """Return in how many seconds an image may begin, None when that is too far away to wait for it here."""
        attempts = work.chunk.attempts.get(image.index)
        if attempts is None:
            return 0.0
        now = self._now().timestamp()
        return max(0.0, attempts.not_before - now) if self._retries.waits_inline(attempts, now) else None

    def _after_failure(self, report: BatchReport, tag: tuple[_Work, Image], error: MeasuringError) -> AfterFailure:
        """Decide what a failed try leads to."""
        work, image = tag
        now = self._now().timestamp()
        before = work.attempts.get(image.index) or work.chunk.attempts.get(image.index)
        is_short = self._retries.max_wait_after(before) <= self._retries.inline_wait_seconds
        attempts = self._retries.after_failure(before, error, now, self._draw() if is_short else work.draw)
        if attempts is None:
            return Failure.of(error)
        report.retried += 1
        work.attempts[image.index] = attempts
        return RetryIn(attempts.not_before - now) if self._retries.waits_inline(attempts, now) else LeaveOpen()

    def _save(self, work: _Work, report: BatchReport) -> None:
        """Save what was found (step 6). From here on only the chunk that the table returns counts."""
        key, run = work.pointer.key, work.pointer.run
        saved: Chunk | None = None
        if len(work.chunk.outcomes.keys() | work.outcomes.keys()) < work.chunk.size:
            attempts = {index: tried for index, tried in work.attempts.items() if index not in work.outcomes}
            saved = self._store.requeue_chunk(key, work.chunk, work.outcomes, attempts)
            if saved is not None and not saved.is_done:
                # After a crash between the save and this, the message comes again, and hands on once more.
                self._queue.send([replace(work.pointer, turn=saved.turn)], self._delay(saved))
                report.requeued += 1
                return
        if saved is None and work.outcomes:
            # Either the chunk is whole now, or another delivery of this turn was first and has handed the rest on.
            saved = self._store.save_chunk(key, run, work.outcomes)
        if saved is None:
            report.dropped += 1
        elif saved.is_done:
            work.done = saved

    def _delay(self, chunk: Chunk) -> int:
        """Return the seconds until the first of a chunk's open images may be tried."""
        now = self._now().timestamp()
        waits = (
            chunk.attempts[image.index].not_before - now if image.index in chunk.attempts else 0.0
            for image in chunk.open_images()
        )
        return min(MAX_DELAY_SECONDS, max(0, math.ceil(min(waits))))

    def _process_exclusively(self, work: _Work, lease: int, may_start: Callable[[], bool], report: BatchReport) -> None:
        """Process the chunk of a message whose workers have died: first as a whole, then an image at a time.

        Each start is counted before it begins. Only the image that was begun too often without an end is given up.
        """
        if work.done is not None:
            return
        try:
            if work.chunk.starts == 0:
                if self._start(work, None, 1, lease, report):
                    for measured in self._measured([(work, work.chunk.open_images())], may_start, report):
                        self._save(measured, report)
            elif self._each_image_alone(work, lease, may_start, report):
                self._save(work, report)
        except StorageUnavailableError:
            self._take_back_start(work)
            raise

    def _each_image_alone(self, work: _Work, lease: int, may_start: Callable[[], bool], report: BatchReport) -> bool:
        """Measure the images of a chunk one after the other, each saved before the next; tell whether some are left."""
        for image in [image for image in work.chunk.open_images() if self._wait(work, image) is not None]:
            again = work.chunk.starting == image.index
            if again and work.chunk.starts >= MAX_STARTS:
                work.outcomes[image.index] = _CRASHED_WORKERS
                report.failures[FailureCode.PROCESSING_ERROR] += 1
            elif not may_start():
                break
            elif not self._start(work, image.index, work.chunk.starts + 1 if again else 2, lease, report):
                return False
            else:
                for _ in self._measured([(work, [image])], may_start, report):
                    pass
            if work.outcomes:
                saved = self._store.save_chunk(work.pointer.key, work.pointer.run, work.outcomes)
                if saved is None:
                    report.dropped += 1
                    return False
                work.chunk, work.outcomes = saved, {}
        if work.chunk.is_done:
            work.done = work.chunk
        return work.done is None

    def _start(self, work: _Work, starting: int | None, starts: int, lease: int, report: BatchReport) -> bool:
        """Count a start, and take the chunk for this worker; tell whether it is this worker's."""
        now = int(self._now().timestamp() * 1000)
        started = self._store.claim_exclusively(work.pointer.key, work.chunk, starting, starts, lease, now)
        if started is None:
            # Another worker has it; should that one die, this message is the way back.
            report.failed_messages.update(work.messages)
            return False
        work.chunk = started
        return True

    def _take_back_start(self, work: _Work) -> None:
        """Take a start back that the table's refusal has ended: only the deaths of workers count against an image."""
        chunk = work.chunk
        try:
            self._store.claim_exclusively(work.pointer.key, chunk, chunk.starting, max(0, chunk.starts - 1), 0, 0)
        except StorageUnavailableError:
            _log.warning("a start of chunk %d of job %d was counted", work.pointer.chunk, work.pointer.job_id)

    def _end(self, works: Sequence[_Work], report: BatchReport) -> None:
        """Bring the chunks that are done to their visit rows and their jobs (steps 7 to 9)."""
        done = [work for work in works if work.done is not None]
        if done and _taken(report, done, lambda: self._store.put_visit_rows(list(_rows(done)))):
            self._finish(done, report)

    def _finish(self, works: Iterable[_Work], report: BatchReport) -> None:
        """Add the chunks to their jobs, one update a job, and end the jobs that are complete (steps 8 and 9)."""
        of_job: defaultdict[tuple[str, int, int], list[_Work]] = defaultdict(list)
        for work in works:
            of_job[work.pointer.client, work.pointer.job_id, work.pointer.run].append(work)
        for (client, job_id, run), job_works in of_job.items():
            verdicts = [ChunkVerdict.of(work.done) for work in job_works if work.done is not None]
            _taken(report, job_works, partial(self._add_to_job, client, job_id, run, verdicts, report))

    def _add_to_job(
        self, client: str, job_id: int, run: int, verdicts: Sequence[ChunkVerdict], report: BatchReport
    ) -> None:
        job = self._store.add_chunks(client, job_id, run, verdicts)
        if job is not None and job.open and job.all_done:
            closed = close(self._store, self._sweeps, job, self._now())
            if closed is not None:
                report.closed.append(closed)


def _is_of_an_earlier_turn(delivery: Delivery, chunk: Chunk) -> bool:
    """Tell whether somebody else goes on with a message's chunk.

    Who has handed the chunk on has either sent the next message, or died before; then *its* message comes again, and
    says so by its count. So a message of an earlier turn that comes for the first time is a double.
    """
    turn = delivery.pointer.turn
    return turn is not None and turn < chunk.turn and delivery.receives == 1 and not chunk.is_done


def _taken(report: BatchReport, works: Collection[_Work], step: Callable[[], None]) -> bool:
    """Take a step; when the table or the queue refuses it, have the messages of its chunks delivered again."""
    try:
        step()
    except StorageUnavailableError as error:
        for work in works:
            _log.warning("chunk %d of job %d is delivered again: %s", work.pointer.chunk, work.pointer.job_id, error)
            report.failed_messages.update(work.messages)
        return False
    return True


def _rows(works: Iterable[_Work]) -> Iterator[tuple[VisitRow, int]]:
    for work in works:
        if work.done is not None:
            for row in work.done.measured_rows(work.pointer.client, work.pointer.job_id):
                yield row, work.done.job_expires_at
