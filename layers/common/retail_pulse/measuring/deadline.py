"""One deadline per thread, shared by everything that an image takes: DNS, connecting, TLS, headers and body."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_thread = threading.local()


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Limit everything that this thread sends and receives within the block to so many seconds in total."""
    _thread.until = time.monotonic() + seconds
    try:
        yield
    finally:
        del _thread.until


def seconds_left(max_seconds: float | None = None) -> float | None:
    """Return how long a wait may take.

    Parameters
    ----------
    max_seconds
        The longest wait, whatever the deadline; None for no such limit.

    Returns
    -------
    float or None
        Seconds, above 0; None without a limit and without a deadline.

    Raises
    ------
    TimeoutError
        The thread's deadline has passed.
    """
    until: float | None = getattr(_thread, "until", None)
    if until is None:
        return max_seconds
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError("deadline passed")
    return left if max_seconds is None else min(left, max_seconds)


@contextmanager
def held(lock: threading.Lock) -> Iterator[None]:
    """Wait for a lock, until the thread's deadline at most, and hold it within the block.

    Raises
    ------
    TimeoutError
        The deadline has passed.
    """
    left = seconds_left()
    if not lock.acquire(timeout=-1 if left is None else left):
        raise TimeoutError("deadline passed")
    try:
        yield
    finally:
        lock.release()
