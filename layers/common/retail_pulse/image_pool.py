"""Measures many images at once: downloads on threads, and a delay for each image that holds no thread."""

import heapq
import itertools
import queue
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from retail_pulse.measuring.failures import FailureCode, MeasuringError
from retail_pulse.outcomes import Failure, Measured, Outcome

_Tag = TypeVar("_Tag")


class ImagePool:
    """One pool of threads for the life of a worker.

    Parameters
    ----------
    measure
        Measures the image of a URL, or raises `MeasuringError`.
    threads
        How many images at once.
    delay_min, delay_max
        Bounds of the random delay that imitates GPU work, in seconds; each measured image has its own, and counts as
        measured when it has passed.
    """

    def __init__(
        self, measure: Callable[[str], Measured], threads: int, delay_min: float = 0.0, delay_max: float = 0.0
    ) -> None:
        self._measure = measure
        self._bounds = (delay_min, delay_max)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="image")

    def run(
        self, images: Iterable[tuple[_Tag, str]], may_start: Callable[[], bool]
    ) -> Iterator[tuple[_Tag, Outcome | None]]:
        """Measure images.

        Parameters
        ----------
        images
            Each a tag of the caller's and a URL.
        may_start
            Asked before each image; once it says no, images that have not begun stay untouched.

        Yields
        ------
        tuple
            The tag and the outcome of each image as soon as it is ready, None for one that was not begun.
        """
        finished: queue.SimpleQueue[_Finished[_Tag]] = queue.SimpleQueue()
        abandoned = threading.Event()

        def work(tag: _Tag, url: str) -> None:
            outcome = self._outcome(url) if may_start() and not abandoned.is_set() else None
            delay = random.uniform(*self._bounds) if isinstance(outcome, Measured) else 0.0
            finished.put(_Finished(tag, outcome, time.monotonic() + delay))

        running = 0
        for tag, url in images:
            self._threads.submit(work, tag, url)
            running += 1
        order = itertools.count()  # a heap compares: images that are ready at one instant keep the order they came in
        delayed: list[tuple[float, int, _Finished[_Tag]]] = []
        try:
            while running or delayed:
                wait = max(0.0, delayed[0][0] - time.monotonic()) if delayed else None
                if running and (wait is None or wait > 0):
                    try:
                        image = finished.get(timeout=wait)
                    except queue.Empty:
                        continue
                    running -= 1
                    heapq.heappush(delayed, (image.ready_at, next(order), image))
                elif wait:
                    time.sleep(wait)
                else:
                    image = heapq.heappop(delayed)[2]
                    yield image.tag, image.outcome
        finally:
            # A caller that fails half-way leaves nothing behind that would take the next batch's threads.
            abandoned.set()

    def _outcome(self, url: str) -> Outcome:
        try:
            return self._measure(url)
        except MeasuringError as error:
            return Failure.of(error)
        except Exception as error:  # noqa: BLE001  # one image that breaks a library must not take its neighbours along
            return Failure.of(MeasuringError(FailureCode.PROCESSING_ERROR, f"{type(error).__name__} while measuring"))


class _Finished(Generic[_Tag]):
    """An image that was worked on, and when its delay has passed."""

    __slots__ = ("outcome", "ready_at", "tag")

    def __init__(self, tag: _Tag, outcome: Outcome | None, ready_at: float) -> None:
        self.tag = tag
        self.outcome = outcome
        self.ready_at = ready_at
