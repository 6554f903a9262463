"""Measures the images of chunks, and decides what a failed attempt leads to."""

import logging
import random
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime

from retail_pulse.domain.chunks import Chunk, Image
from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.domain.image_requests import ImageRequest
from retail_pulse.domain.outcomes import AfterFailure, Failure, LeaveOpen, Outcome, RetryInline
from retail_pulse.domain.retries import RetryPolicy
from retail_pulse.domain.text import client_message
from retail_pulse.use_cases.attempts_line import PooledImage
from retail_pulse.use_cases.batch import Findings, Task
from retail_pulse.use_cases.image_pool import ImagePool

_log = logging.getLogger(__name__)

# A measured image is saved after this time at the latest, even if others of its chunk are not ready.
_MAX_UNSAVED_SECONDS = 0.75


class ChunkMeasurer:
    """Measures the images of chunks; one for the life of a worker.

    ``knows_store`` returns whether the store master has a store, and ``draw`` a random number from 0 to 1. Findings are
    yielded before they are complete once an outcome has waited for ``max_unsaved_seconds``.
    """

    def __init__(
        self,
        knows_store: Callable[[str], bool],
        pool: ImagePool,
        retries: RetryPolicy,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        draw: Callable[[], float] = random.random,
        max_unsaved_seconds: float = _MAX_UNSAVED_SECONDS,
    ) -> None:
        self._knows_store = knows_store
        self._pool = pool
        self._retries = retries
        self._now = now
        self._draw = draw
        self._max_unsaved_seconds = max_unsaved_seconds

    def measure(
        self, portions: Iterable[tuple[Task, Iterable[Image]]], may_start: Callable[[], bool]
    ) -> Iterator[Findings | None]:
        """Measure images of several tasks in one pool, and yield the findings of each.

        Nothing starts once ``may_start`` returns false. Images that are neither measured nor failed stay open.

        Yields
        ------
        Findings or None
            Complete once no image of the task is in the pool; before that, to be saved and noted as `Findings.saved`.
            None says that some time has passed.
        """
        in_pool: list[PooledImage[tuple[Findings, Image]]] = []
        waiting: list[Findings] = []
        for task, images in portions:
            findings = Findings(task)
            for image in images:
                outcome, wait = self._without_attempt(task, image)
                if outcome is not None:
                    findings.add(image.index, outcome, time.monotonic())
                elif wait is not None:
                    request = ImageRequest(task.pointer.client, image.url)
                    in_pool.append(PooledImage((findings, image), request, wait))
                    findings.in_pool += 1
            if findings.in_pool:
                waiting.append(findings)
            else:
                yield findings
        for ready in self._pool.run(in_pool, may_start, self._after_failure):
            if ready is not None:
                (findings, image), result = ready
                findings.in_pool -= 1
                if result is not None:
                    findings.add(image.index, result, time.monotonic())
                if not findings.in_pool:
                    waiting.remove(findings)
                    yield findings
            yield from self._overdue(waiting)
            yield None

    def wait(self, chunk: Chunk, image: Image) -> float | None:
        """Return the seconds until an image may start; None when that is too long to wait within the invocation."""
        attempts = chunk.attempts.get(image.index)
        if attempts is None:
            return 0.0
        now = self._now().timestamp()
        return max(0.0, attempts.not_before - now) if self._retries.waits_inline(attempts, now) else None

    def _without_attempt(self, task: Task, image: Image) -> tuple[Outcome | None, float | None]:
        """Return the outcome of an image that needs no attempt, or how long the attempt has to wait."""
        if not self._knows_store(image.store_id):
            text = client_message(f"store {image.store_id} is not in the store master")
            return Failure(FailureCode.UNKNOWN_STORE, text, is_transient=False), None
        attempts = task.chunk.attempts.get(image.index)
        final = None if attempts is None else self._retries.final_failure(attempts)
        return final, self.wait(task.chunk, image)

    def _overdue(self, waiting: Iterable[Findings]) -> Iterator[Findings]:
        """Yield findings whose outcomes have waited long enough to be saved."""
        limit = time.monotonic() - self._max_unsaved_seconds
        for findings in waiting:
            if findings.unsaved_since is not None and findings.unsaved_since <= limit:
                yield findings

    def _after_failure(self, tag: tuple[Findings, Image], error: MeasuringError) -> AfterFailure:
        """Decide what a failed attempt leads to."""
        findings, image = tag
        task = findings.task
        now = self._now().timestamp()
        before = findings.attempts.get(image.index) or task.chunk.attempts.get(image.index)
        is_short = self._retries.max_wait_after(before) <= self._retries.inline_wait_seconds
        after = self._retries.after_failure(before, error, now, self._draw() if is_short else task.draw)
        if isinstance(after, Failure):
            return after
        about = {"image": image.index, "code": error.code, "seconds": round(after.not_before - now, 1)}
        _log.debug("attempted again later", extra=task.pointer.for_log | about)
        findings.retried += error.costs_attempt
        findings.attempts[image.index] = after
        return RetryInline(after.not_before - now) if self._retries.waits_inline(after, now) else LeaveOpen()
