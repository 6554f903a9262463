"""Use case: a batch of pointers becomes outcomes (steps 4 to 9 of the write protocol).

The order of the writes is the point: outcomes, then visit rows, then the job's sets, then its end; the message is
acknowledged last. When a worker dies in between, the next delivery repeats its steps, which changes nothing.
"""

import logging
import random
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

from retail_pulse.domain.chunks import Chunk, ChunkKey, Pointer
from retail_pulse.domain.errors import StorageUnavailableError
from retail_pulse.domain.jobs import SweepPolicy
from retail_pulse.domain.outcomes import Outcome
from retail_pulse.domain.retries import Attempts
from retail_pulse.use_cases.batch import BatchReport, Delivery, Findings, Task
from retail_pulse.use_cases.chunk_measurer import ChunkMeasurer
from retail_pulse.use_cases.finishing import Finishing, FinishingStore
from retail_pulse.use_cases.poison import ClaimingStore, PoisonMessages
from retail_pulse.use_cases.steps import PointerSender

_log = logging.getLogger(__name__)


class OutcomeStore(ClaimingStore, FinishingStore, Protocol):
    """What processing needs from the table."""

    def chunks(self, keys: Collection[ChunkKey]) -> dict[ChunkKey, Chunk]: ...
    def reopen_chunk(self, key: ChunkKey, chunk: Chunk, run: int, images: Collection[int]) -> Chunk | None: ...
    def requeue_chunk(
        self, key: ChunkKey, chunk: Chunk, outcomes: Mapping[int, Outcome], attempts: Mapping[int, Attempts]
    ) -> Chunk | None: ...


class Processing:
    """Processes batches; one for the life of a worker.

    Parameters
    ----------
    start_seconds
        How long a batch may start images, so that a client with slow servers does not hold a worker for long. What is
        left is requeued, and waits behind the messages of other clients.
    draw
        Returns a random number from 0 to 1.
    """

    def __init__(
        self,
        store: OutcomeStore,
        queue: PointerSender,
        measurer: ChunkMeasurer,
        sweeps: SweepPolicy,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        draw: Callable[[], float] = random.random,
        start_seconds: float = 15.0,
    ) -> None:
        self._store = store
        self._queue = queue
        self._measurer = measurer
        self._poison = PoisonMessages(store, measurer, self._save, now)
        self._sweeps = sweeps
        self._now = now
        self._draw = draw
        self._start_seconds = start_seconds

    def process(
        self,
        deliveries: Sequence[Delivery],
        may_start: Callable[[], bool] = lambda: True,
        lease_seconds: float = 900.0,
    ) -> BatchReport:
        """Process a batch. The caller acknowledges all messages except the failed ones.

        Poison messages come last, one at a time: if one of them ends this worker, all others are saved.

        Parameters
        ----------
        deliveries
            Messages of any jobs; they may be duplicates, and late.
        may_start
            Returns whether there is time left for another attempt.
        lease_seconds
            Maximum time that this worker still lives.
        """
        report = BatchReport()
        finishing = Finishing(self._store, self._sweeps, report, self._now)
        self._process_all([each for each in deliveries if not each.may_be_poison], may_start, report, finishing)
        lease = int((self._now().timestamp() + lease_seconds) * 1000)
        # These have a time of their own: they are at the end of every batch, and would never begin.
        may_start = self._within_start_seconds(may_start)
        for delivery in [each for each in deliveries if each.may_be_poison]:
            if not may_start():
                report.failed_messages.add(delivery.message_id)
                continue
            for task in self._open([delivery], report):
                with report.redelivered_if_refused([task]):
                    saved = self._poison.process(task, lease, may_start, report)
                    if saved is not None:
                        finishing.add(saved)
                        finishing.finish_all()
        return report

    def _process_all(
        self,
        deliveries: Sequence[Delivery],
        may_start: Callable[[], bool],
        report: BatchReport,
        finishing: Finishing,
    ) -> None:
        """Process messages together, and finish each chunk soon after it is done."""
        portions = []
        for task in self._open(deliveries, report):
            if task.chunk.is_done:
                finishing.add(task)
            else:
                portions.append((task, task.chunk.open_images()))
        for findings in self._measurer.measure(portions, self._within_start_seconds(may_start)):
            if findings is not None and findings.in_pool:
                self._save_part(findings, report)
            elif findings is not None:
                report.add(findings)
                with report.redelivered_if_refused([findings.task]):
                    saved = self._save(findings, report)
                    if saved is not None:
                        finishing.add(saved)
            finishing.finish_due()
        finishing.finish_all()

    def _within_start_seconds(self, may_start: Callable[[], bool]) -> Callable[[], bool]:
        until = time.monotonic() + self._start_seconds
        return lambda: time.monotonic() < until and may_start()

    def _open(self, deliveries: Sequence[Delivery], report: BatchReport) -> Iterator[Task]:
        """Read the chunks of the batch, drop what is stale, reopen chunks of earlier runs (steps 4 and 5)."""
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
            if key not in chunks:
                report.dropped += 1
                continue
            newest = max((delivery.pointer for delivery in of_this), key=lambda pointer: pointer.run)
            task = Task(newest, [delivery.message_id for delivery in of_this], chunks[key], self._draw())
            receives = max(delivery.receives for delivery in of_this)
            about = {"run": newest.run, "turn": newest.turn, "receives": receives}
            _log.debug("delivered", extra=newest.for_log | about)
            with report.redelivered_if_refused([task]):
                chunk = self._at_run_of(newest, task.chunk)
                if chunk is None or all(_is_of_an_earlier_turn(delivery, chunk) for delivery in of_this):
                    report.dropped += 1
                else:
                    yield replace(task, chunk=chunk)

    def _at_run_of(self, pointer: Pointer, chunk: Chunk | None) -> Chunk | None:
        """Return the chunk at the pointer's run; None when the pointer is stale."""
        while chunk is not None and chunk.run < pointer.run:
            reopened = self._store.reopen_chunk(pointer.key, chunk, pointer.run, chunk.reopened_by(pointer.scope))
            if reopened is not None:
                return reopened
            chunk = self._store.chunks([pointer.key]).get(pointer.key)
        return chunk if chunk is not None and chunk.run == pointer.run else None

    def _save_part(self, findings: Findings, report: BatchReport) -> None:
        """Save the outcomes so far of a chunk whose other images are not ready (step 6)."""
        pointer = findings.task.pointer
        try:
            saved = self._store.save_chunk(pointer.key, pointer.run, findings.outcomes)
        except StorageUnavailableError as error:
            text = "outcomes of chunk %d of job %d are saved later: %s"
            _log.warning(text, pointer.chunk, pointer.job_id, error, extra=pointer.for_log)
            findings.unsaved_since = time.monotonic()
        else:
            report.add(findings)
            # A chunk at a later run is found to be stale when its last image is ready.
            findings.saved(saved or findings.task.chunk)

    def _save(self, findings: Findings, report: BatchReport) -> Task | None:
        """Save what was found (step 6), and requeue the rest; return the task once its chunk is done.

        From here on only the chunk that the table returned counts.
        """
        task, outcomes = findings.task, findings.outcomes
        key = task.pointer.key
        saved: Chunk | None = None
        if len(task.chunk.outcomes.keys() | outcomes.keys()) < task.chunk.size:
            ready = task.chunk.outcomes.keys() | outcomes.keys()
            attempts = {index: failed for index, failed in findings.attempts.items() if index not in ready}
            saved = self._store.requeue_chunk(key, task.chunk, outcomes, attempts)
            if saved is not None and not saved.is_done and saved.ends_its_chain:
                _log.warning(
                    "chunk %d of job %d waits for a sweep after %d turns", key.number, task.pointer.job_id, saved.turn
                )
                return None
            if saved is not None and not saved.is_done:
                # After a crash between the save and this, the message comes again, and requeues the rest once more.
                delay = saved.message_delay(self._now().timestamp())
                self._queue.send([task.pointer._replace(turn=saved.turn)], delay)
                report.requeued += 1
                return None
        if saved is None and outcomes:
            # Either the chunk is complete now, or another delivery of this turn was first and has requeued the rest.
            saved = self._store.save_chunk(key, task.pointer.run, outcomes)
        elif saved is None and task.chunk.is_done:
            saved = task.chunk
        if saved is None:
            report.dropped += 1
            return None
        return replace(task, chunk=saved) if saved.is_done else None


def _is_of_an_earlier_turn(delivery: Delivery, chunk: Chunk) -> bool:
    """Return whether another message continues with the chunk.

    The worker that requeued the chunk has either sent the next message, or died before; then *its* message comes again,
    and its count of deliveries says so. So a message of an earlier turn that comes for the first time is a duplicate.
    """
    turn = delivery.pointer.turn
    return turn is not None and turn < chunk.turn and delivery.receives == 1 and not chunk.is_done
