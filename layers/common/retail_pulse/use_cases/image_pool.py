"""Measures many images at once: downloads on threads; delays and the waits before another try hold no thread."""

import heapq
import itertools
import queue
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.domain.outcomes import AfterFailure, Failure, LeaveOpen, Measured, Outcome, RetryIn

_Tag = TypeVar("_Tag")


@dataclass(frozen=True, slots=True)
class PooledImage(Generic[_Tag]):
    """An image to be measured: a tag of the caller's, its URL, and how many seconds from now it may begin."""

    tag: _Tag
    url: str
    wait: float = 0.0


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
        self,
        images: Iterable[PooledImage[_Tag]],
        may_start: Callable[[], bool],
        after_failure: Callable[[_Tag, MeasuringError], AfterFailure] = lambda _, error: Failure.of(error),
    ) -> Iterator[tuple[_Tag, Outcome | None]]:
        """Measure images.

        Parameters
        ----------
        images
            Any number.
        may_start
            Asked before each try; once it says no, nothing more is begun.
        after_failure
            Asked after each failed try, in the caller's thread.

        Yields
        ------
        tuple
            The tag and the outcome of each image as soon as it is ready; None for one that stays open, because it was
            not begun or because `after_failure` said so.
        """
        finished: queue.SimpleQueue[tuple[PooledImage[_Tag], Outcome | MeasuringError | None, float]]
        finished = queue.SimpleQueue()
        abandoned = threading.Event()
        order = itertools.count()  # a heap compares: what comes at one instant keeps its order
        coming: list[tuple[float, int, PooledImage[_Tag], Outcome | _Begin | None]] = []
        running = 0

        def work(image: PooledImage[_Tag]) -> None:
            result = self._try(image.url) if may_start() and not abandoned.is_set() else None
            finished.put((image, result, time.monotonic()))

        def at(moment: float, image: PooledImage[_Tag], what: Outcome | _Begin | None) -> None:
            heapq.heappush(coming, (moment, next(order), image, what))

        for image in images:
            at(time.monotonic() + image.wait, image, _BEGIN)
        try:
            while running or coming:
                wait = max(0.0, coming[0][0] - time.monotonic()) if coming else None
                if wait == 0:
                    _, _, image, what = heapq.heappop(coming)
                    if not isinstance(what, _Begin):
                        yield image.tag, what
                    elif may_start():
                        self._threads.submit(work, image)
                        running += 1
                    else:
                        yield image.tag, None
                elif running:
                    try:
                        image, result, moment = finished.get(timeout=wait)
                    except queue.Empty:
                        continue
                    running -= 1
                    if isinstance(result, Measured):
                        at(moment + random.uniform(*self._bounds), image, result)
                    elif isinstance(result, MeasuringError):
                        match after_failure(image.tag, result):
                            case RetryIn(seconds):
                                at(moment + seconds, image, _BEGIN)
                            case LeaveOpen():
                                at(moment, image, None)
                            case Failure() as failure:
                                at(moment, image, failure)
                    else:
                        at(moment, image, result)
                elif wait is not None:
                    time.sleep(wait)
        finally:
            # A caller that fails half-way leaves nothing behind that would take the next batch's threads.
            abandoned.set()

    def _try(self, url: str) -> Outcome | MeasuringError:
        try:
            return self._measure(url)
        except MeasuringError as error:
            return error
        except Exception as error:  # noqa: BLE001  # one image that breaks a library must not take its neighbours along
            return MeasuringError(FailureCode.PROCESSING_ERROR, f"{type(error).__name__} while measuring")


class _Begin:
    """Stands in the heap for an image that is to begin."""


_BEGIN = _Begin()
