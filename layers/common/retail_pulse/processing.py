"""Use case: a batch of pointers becomes outcomes (steps 4 to 9 of the write protocol).

The order of the writes is the point: outcomes, then visit rows, then the job's sets, then its end; the message is
acknowledged last. Whatever dies in between is done again by the next delivery, and doing it again changes nothing.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

from retail_pulse.chunks import Chunk, ChunkKey, Image, Pointer
from retail_pulse.errors import StorageUnavailableError
from retail_pulse.image_pool import ImagePool
from retail_pulse.jobs import ChunkVerdict, Job, JobStatus
from retail_pulse.measuring.failures import FailureCode, MeasuringError
from retail_pulse.outcomes import Failure, Measured, Outcome
from retail_pulse.submission import PointerSender
from retail_pulse.visits import VisitRow

_log = logging.getLogger(__name__)


class OutcomeStore(Protocol):
    """What processing needs of the table; see `retail_pulse.dynamo.JobsTable` for what each method promises."""

    def chunks(self, keys: Collection[ChunkKey]) -> dict[ChunkKey, Chunk]:
        """Read chunks."""

    def reopen_chunk(self, key: ChunkKey, chunk: Chunk, run: int, images: Collection[int]) -> Chunk | None:
        """Take a chunk to a later run."""

    def save_chunk(self, key: ChunkKey, run: int, outcomes: Mapping[int, Outcome]) -> Chunk | None:
        """Save outcomes."""

    def put_visit_rows(self, rows: Sequence[tuple[VisitRow, int]]) -> None:
        """Store visit rows."""

    def add_chunks(self, client: str, job_id: int, run: int, verdicts: Collection[ChunkVerdict]) -> Job | None:
        """Add chunks that have ended to their job's sets."""

    def close_job(self, job: Job, status: JobStatus, ended_at: datetime) -> Job | None:
        """End the job's run."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message of the queue."""

    message_id: str
    pointer: Pointer


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
    dropped
        Chunks whose message was stale, or that do not exist.
    handed_on
        Chunks of which the rest was sent back to the queue because the time ran short.
    closed
        Jobs that this batch ended.
    """

    failed_messages: set[str] = field(default_factory=set)
    measured: int = 0
    failures: Counter[FailureCode] = field(default_factory=Counter)
    dropped: int = 0
    handed_on: int = 0
    closed: list[Job] = field(default_factory=list)


@dataclass(slots=True)
class _Work:
    """A chunk in the making. ``done`` is the chunk as the table returned it once all of its images have an outcome."""

    pointer: Pointer
    messages: list[str]
    chunk: Chunk
    outcomes: dict[int, Outcome] = field(default_factory=dict)
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
    now
        The clock.
    """

    def __init__(
        self,
        store: OutcomeStore,
        queue: PointerSender,
        knows_store: Callable[[str], bool],
        pool: ImagePool,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._queue = queue
        self._knows_store = knows_store
        self._pool = pool
        self._now = now

    def process(self, deliveries: Sequence[Delivery], may_start: Callable[[], bool] = lambda: True) -> BatchReport:
        """Process a batch.

        Parameters
        ----------
        deliveries
            Messages, of any jobs, also doubled and late.
        may_start
            Tells whether there is time left for another image.

        Returns
        -------
        BatchReport
            All but its failed messages are to be acknowledged.
        """
        report = BatchReport()
        works = list(self._open(deliveries, report))
        for work in self._measured(works, may_start, report):
            _taken(report, [work], partial(self._save, work, report))
        done = [work for work in works if work.done is not None]
        if _taken(report, done, lambda: self._store.put_visit_rows(list(_rows(done)))):
            self._finish(done, report)
        return report

    def _open(self, deliveries: Sequence[Delivery], report: BatchReport) -> Iterator[_Work]:
        """Read the chunks of the batch, drop what is stale, reopen what is behind (steps 4 and 5)."""
        newest: dict[ChunkKey, Pointer] = {}
        messages: defaultdict[ChunkKey, list[str]] = defaultdict(list)
        for delivery in deliveries:
            key = delivery.pointer.key
            messages[key].append(delivery.message_id)
            if key not in newest or delivery.pointer.run > newest[key].run:
                newest[key] = delivery.pointer
        try:
            chunks = self._store.chunks(newest.keys())
        except StorageUnavailableError as error:
            _log.warning("the batch is delivered again: %s", error)
            report.failed_messages.update(delivery.message_id for delivery in deliveries)
            return
        for key, pointer in newest.items():
            try:
                chunk = self._at_run_of(pointer, chunks.get(key))
            except StorageUnavailableError as error:
                _log.warning("chunk %d of job %d is delivered again: %s", pointer.chunk, pointer.job_id, error)
                report.failed_messages.update(messages[key])
                continue
            if chunk is None:
                report.dropped += 1
            else:
                yield _Work(pointer, messages[key], chunk, done=chunk if chunk.is_done else None)

    def _at_run_of(self, pointer: Pointer, chunk: Chunk | None) -> Chunk | None:
        """Return the chunk at the pointer's run, or None when the pointer is stale."""
        while chunk is not None and chunk.run < pointer.run:
            reopened = self._store.reopen_chunk(pointer.key, chunk, pointer.run, chunk.reopened_by(pointer.scope))
            if reopened is not None:
                return reopened
            chunk = self._store.chunks([pointer.key]).get(pointer.key)
        return chunk if chunk is not None and chunk.run == pointer.run else None

    def _measured(self, works: Iterable[_Work], may_start: Callable[[], bool], report: BatchReport) -> Iterator[_Work]:
        """Measure the images that are still open, all in one pool; yield each chunk when its last image is ready."""
        to_measure: list[tuple[tuple[_Work, Image], str]] = []
        for work in works:
            if work.done is not None:
                continue
            for image in work.chunk.images():
                if image.index in work.chunk.outcomes:
                    continue
                if self._knows_store(image.store_id):
                    to_measure.append(((work, image), image.url))
                    work.waiting += 1
                else:
                    work.outcomes[image.index] = _unknown_store(image)
                    report.failures[FailureCode.UNKNOWN_STORE] += 1
            if not work.waiting:
                yield work
        for (work, image), outcome in self._pool.run(to_measure, may_start):
            if outcome is not None:
                work.outcomes[image.index] = outcome
            if isinstance(outcome, Measured):
                report.measured += 1
            elif isinstance(outcome, Failure):
                report.failures[outcome.code] += 1
            work.waiting -= 1
            if not work.waiting:
                yield work

    def _save(self, work: _Work, report: BatchReport) -> None:
        """Save what was found (step 6). From here on only the chunk that the table returns counts."""
        saved: Chunk | None = work.chunk
        if work.outcomes:
            saved = self._store.save_chunk(work.pointer.key, work.pointer.run, work.outcomes)
        if saved is None:
            report.dropped += 1
        elif saved.is_done:
            work.done = saved
        else:
            self._queue.send([work.pointer])
            report.handed_on += 1

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
            closed = self._store.close_job(job, job.status_at_end, self._now())
            if closed is not None:
                report.closed.append(closed)


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


def _unknown_store(image: Image) -> Failure:
    return Failure.of(MeasuringError(FailureCode.UNKNOWN_STORE, f"store {image.store_id} is not in the store master"))
