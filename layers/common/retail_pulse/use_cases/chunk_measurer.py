"""Measures the images of chunks, and decides what a failed attempt leads to."""

import random
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime

from retail_pulse.domain.chunks import Chunk, Image
from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.domain.outcomes import AfterFailure, Failure, LeaveOpen, RetryInline
from retail_pulse.domain.retries import RetryPolicy
from retail_pulse.domain.text import client_message
from retail_pulse.use_cases.batch import Findings, Task
from retail_pulse.use_cases.image_pool import ImagePool, PooledImage


class ChunkMeasurer:
    """Measures the images of chunks; one for the life of a worker.

    ``knows_store`` returns whether the store master has a store, and ``draw`` a random number from 0 to 1.
    """

    def __init__(
        self,
        knows_store: Callable[[str], bool],
        pool: ImagePool,
        retries: RetryPolicy,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._knows_store = knows_store
        self._pool = pool
        self._retries = retries
        self._now = now
        self._draw = draw

    def measure(
        self, portions: Iterable[tuple[Task, Iterable[Image]]], may_start: Callable[[], bool]
    ) -> Iterator[Findings]:
        """Measure images of several tasks in one pool, and yield the findings of each as soon as its last is ready.

        Nothing starts once ``may_start`` returns false. Images that are neither measured nor failed stay open.
        """
        in_pool: list[PooledImage[tuple[Findings, Image]]] = []
        for task, images in portions:
            findings = Findings(task)
            for image in images:
                if not self._knows_store(image.store_id):
                    text = client_message(f"store {image.store_id} is not in the store master")
                    findings.outcomes[image.index] = Failure(FailureCode.UNKNOWN_STORE, text, is_transient=False)
                elif (wait := self.wait(task.chunk, image)) is not None:
                    in_pool.append(PooledImage((findings, image), image.url, wait))
                    findings.in_pool += 1
            if not findings.in_pool:
                yield findings
        for (findings, image), outcome in self._pool.run(in_pool, may_start, self._after_failure):
            if outcome is not None:
                findings.outcomes[image.index] = outcome
            findings.in_pool -= 1
            if not findings.in_pool:
                yield findings

    def wait(self, chunk: Chunk, image: Image) -> float | None:
        """Return the seconds until an image may start; None when that is too long to wait within the invocation."""
        attempts = chunk.attempts.get(image.index)
        if attempts is None:
            return 0.0
        now = self._now().timestamp()
        return max(0.0, attempts.not_before - now) if self._retries.waits_inline(attempts, now) else None

    def _after_failure(self, tag: tuple[Findings, Image], error: MeasuringError) -> AfterFailure:
        """Decide what a failed attempt leads to."""
        findings, image = tag
        task = findings.task
        now = self._now().timestamp()
        before = findings.attempts.get(image.index) or task.chunk.attempts.get(image.index)
        is_short = self._retries.max_wait_after(before) <= self._retries.inline_wait_seconds
        attempts = self._retries.after_failure(before, error, now, self._draw() if is_short else task.draw)
        if attempts is None:
            return Failure.of(error)
        findings.retried += 1
        findings.attempts[image.index] = attempts
        return RetryInline(attempts.not_before - now) if self._retries.waits_inline(attempts, now) else LeaveOpen()
