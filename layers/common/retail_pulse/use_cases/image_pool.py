"""Measures many images at once: downloads hold a thread; delays and waits before a retry do not."""

import heapq
import itertools
import queue
import random
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.domain.outcomes import AfterFailure, Failure, LeaveOpen, Measured, Outcome, RetryInline

_Tag = TypeVar("_Tag")


@dataclass(frozen=True, slots=True)
class PooledImage(Generic[_Tag]):
    """An image to be measured: a tag of the caller's, its URL, and how many seconds from now it may start."""

    tag: _Tag
    url: str
    wait: float = 0.0


@dataclass(slots=True)
class _Start(Generic[_Tag]):
    """An attempt is due."""

    image: PooledImage[_Tag]


@dataclass(slots=True)
class _Finish(Generic[_Tag]):
    """An image is ready; without an outcome it stays open."""

    image: PooledImage[_Tag]
    outcome: Outcome | None


class _Timeline(Generic[_Tag]):
    """Events, each with the time at which it is due."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, _Start[_Tag] | _Finish[_Tag]]] = []
        self._order = itertools.count()  # events of the same time stay in order

    def __bool__(self) -> bool:
        return bool(self._heap)

    def add(self, at: float, event: _Start[_Tag] | _Finish[_Tag]) -> None:
        """Add an event that is due at a time of `time.monotonic`."""
        heapq.heappush(self._heap, (at, next(self._order), event))

    def next_due(self) -> _Start[_Tag] | _Finish[_Tag] | None:
        """Remove and return the earliest event; None when it is not due yet."""
        if self._heap and self._heap[0][0] <= time.monotonic():
            return heapq.heappop(self._heap)[2]
        return None

    def seconds_to_next(self) -> float | None:
        """Return the seconds until the earliest event; None when there is no event."""
        return max(0.0, self._heap[0][0] - time.monotonic()) if self._heap else None


class ImagePool:
    """One pool of threads for the life of a worker.

    Parameters
    ----------
    measure
        Measures the image of a URL, or raises `MeasuringError`.
    threads
        How many images at once.
    delay_min, delay_max
        Bounds of the random delay that imitates GPU work, in seconds. Each measured image has its own delay, and counts
        as measured when it has passed.
    """

    def __init__(
        self, measure: Callable[[str], Measured], threads: int, delay_min: float = 0.0, delay_max: float = 0.0
    ) -> None:
        self._measure = measure
        self._bounds = (delay_min, delay_max)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="image")

    def run(
        self,
        images: Iterable[PooledImage[_Tag]],
        may_start: Callable[[], bool],
        after_failure: Callable[[_Tag, MeasuringError], AfterFailure] = lambda _, error: Failure.of(error),
    ) -> Iterator[tuple[_Tag, Outcome | None]]:
        """Measure images, and yield the tag and the outcome of each as soon as it is ready.

        Parameters
        ----------
        may_start
            Asked before each attempt; once it returns false, nothing more is started.
        after_failure
            Asked after each failed attempt, in the caller's thread.

        Yields
        ------
        tuple
            The outcome is None for an image that stays open: it was not started, or `after_failure` said so.
        """
        finished: queue.SimpleQueue[tuple[PooledImage[_Tag], Outcome | MeasuringError | None, float]]
        finished = queue.SimpleQueue()
        abandoned = False
        timeline: _Timeline[_Tag] = _Timeline()
        running = 0

        def attempt(image: PooledImage[_Tag]) -> None:
            result = self._attempt(image.url) if may_start() and not abandoned else None
            finished.put((image, result, time.monotonic()))

        for image in images:
            timeline.add(time.monotonic() + image.wait, _Start(image))
        try:
            while running or timeline:
                match timeline.next_due():
                    case None if running:
                        try:
                            image, result, at = finished.get(timeout=timeline.seconds_to_next())
                        except queue.Empty:
                            continue
                        running -= 1
                        timeline.add(*self._next_event(image, result, at, after_failure))
                    case None:
                        time.sleep(timeline.seconds_to_next() or 0.0)
                    case _Finish() as event:
                        yield event.image.tag, event.outcome
                    case _Start() as event if may_start():
                        self._threads.submit(attempt, event.image)
                        running += 1
                    case _Start() as event:
                        yield event.image.tag, None
        finally:
            # A caller that fails midway must not leave attempts that occupy the next batch's threads.
            abandoned = True

    def _attempt(self, url: str) -> Outcome | MeasuringError:
        try:
            return self._measure(url)
        except MeasuringError as error:
            return error
        except Exception as error:  # noqa: BLE001  # one image that breaks a library must not fail its neighbours
            return MeasuringError(FailureCode.PROCESSING_ERROR, f"{type(error).__name__} while measuring")

    def _next_event(
        self,
        image: PooledImage[_Tag],
        result: Outcome | MeasuringError | None,
        at: float,
        after_failure: Callable[[_Tag, MeasuringError], AfterFailure],
    ) -> tuple[float, _Start[_Tag] | _Finish[_Tag]]:
        """Return what follows an attempt that ended at some time, and when."""
        if isinstance(result, Measured):
            return at + random.uniform(*self._bounds), _Finish(image, result)
        if not isinstance(result, MeasuringError):
            return at, _Finish(image, result)
        match after_failure(image.tag, result):
            case RetryInline(seconds):
                return at + seconds, _Start(image)
            case LeaveOpen():
                return at, _Finish(image, None)
            case Failure() as failure:
                return at, _Finish(image, failure)
