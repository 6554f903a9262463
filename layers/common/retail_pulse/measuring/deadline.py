"""One deadline per thread, for everything that an image costs.

Look-up, connecting, TLS, headers and body share it.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_thread = threading.local()


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Give everything that this thread reads and sends within the block so many seconds in all."""
    _thread.until = time.monotonic() + seconds
    try:
        yield
    finally:
        del _thread.until


def seconds_left(at_most: float | None = None) -> float | None:
    """Return how long a wait may take.

    Parameters
    ----------
    at_most
        Longest wait in seconds; None for no bound of its own.

    Returns
    -------
    float or None
        Seconds, above 0; None where there is neither a bound nor a deadline.

    Raises
    ------
    TimeoutError
        The thread's deadline has passed.
    """
    until: float | None = getattr(_thread, "until", None)
    if until is None:
        return at_most
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError("deadline passed")
    return left if at_most is None else min(left, at_most)
