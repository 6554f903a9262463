"""Measures many images at once: downloads hold a thread; delays and waits before a retry do not."""

import heapq
import itertools
import queue
import random
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.domain.hosts import Hosts, Slot
from retail_pulse.domain.image_requests import HostBusyError, ImageRequest
from retail_pulse.domain.outcomes import AfterFailure, Failure, LeaveOpen, Measured, Outcome, RetryInline
from retail_pulse.use_cases.attempts_line import Attempt, AttemptsLine, PooledImage

_Tag = TypeVar("_Tag")
# Measures the image of a request, or raises `MeasuringError` or `HostBusyError`. It ends the slot.
Measure = Callable[[ImageRequest, Slot], Measured]
# What an attempt led to; None when it was not begun.
_Result = Measured | MeasuringError | HostBusyError | None
# How long a caller waits at most for a sign that time has passed.
_TICK_SECONDS = 0.25
# Events within this time are handled together: to wake for each delay that ends took a fifth of the pool's CPU.
_MOMENT_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class _Finish(Generic[_Tag]):
    """An image is ready; without an outcome it stays open."""

    image: PooledImage[_Tag]
    outcome: Outcome | None


class _Timeline(Generic[_Tag]):
    """Images that start, and images that are ready, each at its time."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, PooledImage[_Tag] | _Finish[_Tag]]] = []
        self._order = itertools.count()  # events of the same time stay in order

    def __bool__(self) -> bool:
        return bool(self._heap)

    def add(self, at: float, event: PooledImage[_Tag] | _Finish[_Tag]) -> None:
        """Add an event that is due at a time of `time.monotonic`."""
        heapq.heappush(self._heap, (at, next(self._order), event))

    def next_due(self) -> PooledImage[_Tag] | _Finish[_Tag] | None:
        """Remove and return the earliest event; None when it is not due yet."""
        if self._heap and self._heap[0][0] <= time.monotonic():
            return heapq.heappop(self._heap)[2]
        return None

    def remove_waiting(self) -> list[PooledImage[_Tag]]:
        """Remove and return the images that wait for their start."""
        waiting = [event for _, _, event in self._heap if isinstance(event, PooledImage)]
        self._heap = [entry for entry in self._heap if isinstance(entry[2], _Finish)]
        heapq.heapify(self._heap)
        return waiting

    def seconds_to_next(self) -> float:
        """Return the seconds until the earliest event, at least a moment and at most a tick."""
        if not self._heap:
            return _TICK_SECONDS
        return min(_TICK_SECONDS, max(_MOMENT_SECONDS, self._heap[0][0] - time.monotonic()))


class ImagePool:
    """One pool of threads for the life of a worker.

    Parameters
    ----------
    measure
        Measures the image of a request.
    threads
        How many images at once.
    hosts
        How many requests each host may have in flight.
    host_of
        Returns the host of a URL; an empty text for an invalid one.
    delay_min, delay_max
        Bounds of the random delay that imitates GPU work, in seconds. Each measured image has its own delay, and counts
        as measured when it has passed.
    """

    def __init__(
        self,
        measure: Measure,
        threads: int,
        hosts: Hosts,
        host_of: Callable[[str], str],
        delay_min: float = 0.0,
        delay_max: float = 0.0,
    ) -> None:
        self.threads = threads
        self.hosts = hosts
        self.host_of = host_of
        self._measure = measure
        self._bounds = (delay_min, delay_max)
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="image")

    def run(
        self,
        images: Iterable[PooledImage[_Tag]],
        may_start: Callable[[], bool],
        after_failure: Callable[[_Tag, MeasuringError], AfterFailure] = lambda _, error: Failure.of(error),
    ) -> Iterator[tuple[_Tag, Outcome | None] | None]:
        """Measure images, and yield the tag and the outcome of each as soon as it is ready.

        Images of one client with equal URLs are downloaded once.

        Parameters
        ----------
        may_start
            Asked before each attempt; once it returns false, nothing more is started.
        after_failure
            Asked after each failed attempt, in the caller's thread.

        Yields
        ------
        tuple or None
            The outcome is None for an image that stays open: it was not started, or `after_failure` said so. None in
            place of the tuple says that a quarter of a second has passed without an image that became ready.
        """
        return _Run(self, may_start, after_failure).results(images)

    def delay(self) -> float:
        """Draw an image's delay, in seconds."""
        return random.uniform(*self._bounds)

    def start(self, attempt: Callable[[], None]) -> None:
        """Run an attempt in a thread."""
        self._executor.submit(attempt)

    def attempt(self, request: ImageRequest, slot: Slot) -> _Result:
        """Measure an image, and return what that led to."""
        try:
            return self._measure(request, slot)
        except (MeasuringError, HostBusyError) as error:
            return error
        except Exception as error:  # noqa: BLE001  # one image that breaks a library must not fail its neighbours
            return MeasuringError(FailureCode.PROCESSING_ERROR, f"{type(error).__name__} while measuring")


class _Run(Generic[_Tag]):
    """The images of one batch on their way through the pool."""

    def __init__(
        self,
        pool: ImagePool,
        may_start: Callable[[], bool],
        after_failure: Callable[[_Tag, MeasuringError], AfterFailure],
    ) -> None:
        self._pool = pool
        self._may_start = may_start
        self._after_failure = after_failure
        self._timeline: _Timeline[_Tag] = _Timeline()
        self._line: AttemptsLine[_Tag] = AttemptsLine(pool.hosts, pool.host_of)
        self._finished: queue.SimpleQueue[tuple[Attempt[_Tag], _Result, float]] = queue.SimpleQueue()
        self._running = 0
        # Requests that are due or in flight, and those whose answer is known.
        self._attempts: dict[ImageRequest, Attempt[_Tag]] = {}
        self._known: dict[ImageRequest, Measured | MeasuringError] = {}
        self._abandoned = False

    def results(self, images: Iterable[PooledImage[_Tag]]) -> Iterator[tuple[_Tag, Outcome | None] | None]:
        """Yield what `ImagePool.run` yields."""
        now = time.monotonic()
        for image in images:
            self._timeline.add(now + image.wait, image)
        ticked = now
        try:
            while self._running or self._timeline or self._line:
                while (event := self._timeline.next_due()) is not None:
                    if isinstance(event, _Finish):
                        yield event.image.tag, event.outcome
                    else:
                        self._admit(event)
                self._start_attempts()
                if time.monotonic() >= ticked + _TICK_SECONDS:
                    ticked = time.monotonic()
                    self._line.unpark()
                    if not self._may_start():
                        self._leave_open()
                    yield None
                self._wait()
        finally:
            # A caller that fails midway must not leave attempts that occupy the next batch's threads.
            self._abandoned = True

    def _admit(self, image: PooledImage[_Tag]) -> None:
        """Attempt an image that is due, unless another one of the batch has asked for the same."""
        known = self._known.get(image.request)
        attempt = self._attempts.get(image.request)
        if known is not None:
            self._add_result(image, known, time.monotonic())
        elif attempt is not None:
            attempt.images.append(image)
        else:
            self._queue(Attempt(image.request, [image]))

    def _queue(self, attempt: Attempt[_Tag]) -> None:
        attempt.asked.append(attempt.request)
        self._attempts[attempt.request] = attempt
        self._line.add(attempt)

    def _start_attempts(self) -> None:
        """Start as many attempts as there are threads."""
        while self._line:
            if not self._may_start():
                self._leave_open()
                return
            taken = self._line.take() if self._running < self._pool.threads else None
            match taken:
                case None:
                    return
                case attempt, MeasuringError() as error:
                    self._add_results(attempt, error, time.monotonic())
                case attempt, Slot() as slot:
                    self._running += 1
                    self._pool.start(partial(self._attempt, attempt, slot))

    def _leave_open(self) -> None:
        """Leave all images open that have not started: no worker waits for what it may not start."""
        now = time.monotonic()
        for attempt in self._line.drain():
            self._add_results(attempt, None, now)
        for image in self._timeline.remove_waiting():
            self._timeline.add(now, _Finish(image, None))

    def _attempt(self, attempt: Attempt[_Tag], slot: Slot) -> None:
        """Measure in a thread. An earlier run that was abandoned may still occupy threads, so this may be late."""
        result = None
        if self._abandoned or not self._may_start():
            slot.cancel()
        else:
            result = self._pool.attempt(attempt.request, slot)
        self._finished.put((attempt, result, time.monotonic()))

    def _wait(self) -> None:
        """Wait for the next attempt that ends, or for the next event."""
        if not (self._running or self._timeline or self._line):
            return
        try:
            attempt, result, at = self._finished.get(timeout=self._timeline.seconds_to_next())
        except queue.Empty:
            return
        self._running -= 1
        self._line.ended(attempt.request.client)
        self._add_results(attempt, result, at)

    def _add_results(self, attempt: Attempt[_Tag], result: _Result, at: float) -> None:
        """Note what an attempt led to, for each of its images."""
        for request in attempt.asked:
            if self._attempts.get(request) is attempt:
                del self._attempts[request]
        if isinstance(result, HostBusyError):
            attempt.request = result.request
            self._queue(attempt)
            return
        if isinstance(result, Measured) or (isinstance(result, MeasuringError) and not result.is_transient):
            self._known.update(dict.fromkeys(attempt.asked, result))
        for image in attempt.images:
            self._add_result(image, result, at)

    def _add_result(self, image: PooledImage[_Tag], result: Measured | MeasuringError | None, at: float) -> None:
        """Note when an image is ready, or when it is attempted again, after an attempt that ended at some time."""
        if isinstance(result, Measured):
            self._timeline.add(at + self._pool.delay(), _Finish(image, result))
            return
        if not isinstance(result, MeasuringError):
            self._timeline.add(at, _Finish(image, result))
            return
        match self._after_failure(image.tag, result):
            case RetryInline(seconds):
                self._timeline.add(at + seconds, image)
            case LeaveOpen():
                self._timeline.add(at, _Finish(image, None))
            case Failure() as failure:
                self._timeline.add(at, _Finish(image, failure))
