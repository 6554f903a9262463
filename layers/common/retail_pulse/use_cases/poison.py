"""Poison messages: messages that were delivered so often that they may be what kills their workers.

Such a message is processed exclusively, by one worker at a time, and each start is counted before it begins: first of
the chunk as a whole, then of one image at a time. Only an image that was started too often and never finished fails.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from retail_pulse.domain.chunks import Chunk, ChunkKey, Image
from retail_pulse.domain.errors import StorageUnavailableError
from retail_pulse.domain.failures import FailureCode
from retail_pulse.domain.outcomes import Failure, Outcome
from retail_pulse.domain.retries import Attempts
from retail_pulse.use_cases.batch import BatchReport, Findings, Task
from retail_pulse.use_cases.chunk_measurer import ChunkMeasurer

_log = logging.getLogger(__name__)

# The chunk as a whole, then its image twice: after that many unfinished starts, the image fails.
_MAX_STARTS = 3
_CRASHED_WORKERS = Failure(
    FailureCode.PROCESSING_ERROR, "every worker that measured the image crashed", is_transient=False
)


class ClaimingStore(Protocol):
    """What poison messages need from the table."""

    def save_chunk(self, key: ChunkKey, run: int, outcomes: Mapping[int, Outcome]) -> Chunk | None: ...
    def claim_exclusively(
        self, key: ChunkKey, chunk: Chunk, starting: int | None, starts: int, lease: int, now: int
    ) -> Chunk | None: ...


class PoisonMessages:
    """Processes poison messages, one at a time; ``save`` saves findings and returns the task once its chunk is done."""

    def __init__(
        self,
        store: ClaimingStore,
        measurer: ChunkMeasurer,
        save: Callable[[Findings, BatchReport], Task | None],
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._measurer = measurer
        self._save = save
        self._now = now

    def process(self, task: Task, lease: int, may_start: Callable[[], bool], report: BatchReport) -> Task | None:
        """Process the task of a poison message, and return it once its chunk is done; None while images are open.

        ``lease`` ends at the latest when this worker is gone, in milliseconds of the epoch. When another worker has the
        chunk, the message is delivered again: should that worker die, this message brings the chunk back.
        """
        if task.chunk.is_done:
            return task
        claim = _Claim(self._store, task, lease, self._now)
        try:
            if task.chunk.starts == 0:
                return self._process_whole(claim, may_start, report)
            return self._process_each_image(claim, may_start, report)
        except StorageUnavailableError:
            claim.take_back_start()
            raise

    def _process_whole(self, claim: "_Claim", may_start: Callable[[], bool], report: BatchReport) -> Task | None:
        if not claim.start(None, 1):
            report.failed_messages.update(claim.task.messages)
            return None
        findings = self._measure(claim.task, claim.task.chunk.open_images(), may_start)
        report.add(findings)
        return self._save(findings, report)

    def _measure(self, task: Task, images: Iterable[Image], may_start: Callable[[], bool]) -> Findings:
        """Measure images, and return what was found once all of them are ready."""
        *_, findings = filter(None, self._measurer.measure([(task, images)], may_start))
        return findings

    def _process_each_image(self, claim: "_Claim", may_start: Callable[[], bool], report: BatchReport) -> Task | None:
        """Measure the images of a chunk one after the other, and save each before the next one starts."""
        attempts: dict[int, Attempts] = {}
        chunk = claim.task.chunk
        for image in [image for image in chunk.open_images() if self._measurer.wait(chunk, image) is not None]:
            starts = claim.task.chunk.starts + 1 if claim.task.chunk.starting == image.index else 2
            if starts > _MAX_STARTS:
                findings = Findings(claim.task, {image.index: _CRASHED_WORKERS})
            elif not may_start():
                break
            elif not claim.start(image.index, starts):
                report.failed_messages.update(claim.task.messages)
                return None
            else:
                findings = self._measure(claim.task, [image], may_start)
            report.add(findings)
            attempts |= findings.attempts
            if findings.outcomes and not claim.save(findings.outcomes):
                report.dropped += 1
                return None
        if claim.task.chunk.is_done:
            return claim.task
        return self._save(Findings(claim.task, attempts=attempts), report)


class _Claim:
    """One worker's claim on a chunk; its task holds the chunk as the table last returned it."""

    def __init__(self, store: ClaimingStore, task: Task, lease: int, now: Callable[[], datetime]) -> None:
        self.task = task
        self._store = store
        self._lease = lease
        self._now = now

    def start(self, image: int | None, starts: int) -> bool:
        """Count a start of an image, or of the whole chunk, and lease the chunk; return whether this worker has it."""
        now = int(self._now().timestamp() * 1000)
        return self._keep(
            self._store.claim_exclusively(self.task.pointer.key, self.task.chunk, image, starts, self._lease, now)
        )

    def save(self, outcomes: Mapping[int, Outcome]) -> bool:
        """Save outcomes; return whether the chunk is still at this run."""
        return self._keep(self._store.save_chunk(self.task.pointer.key, self.task.pointer.run, outcomes))

    def take_back_start(self) -> None:
        """Undo a start that ended because the table refused a step: only crashes count against an image."""
        pointer, chunk = self.task.pointer, self.task.chunk
        try:
            self._store.claim_exclusively(pointer.key, chunk, chunk.starting, max(0, chunk.starts - 1), 0, 0)
        except StorageUnavailableError:
            text = "a start of chunk %d of job %d was counted"
            _log.warning(text, pointer.chunk, pointer.job_id, extra=pointer.for_log)

    def _keep(self, chunk: Chunk | None) -> bool:
        if chunk is None:
            return False
        self.task = replace(self.task, chunk=chunk)
        return True
