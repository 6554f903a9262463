"""How long to wait before a request is repeated."""

import random
from collections.abc import Iterator


def full_jitter(first: float, longest: float) -> Iterator[float]:
    """Yield waits in seconds without end: exponential with full jitter.

    Parameters
    ----------
    first
        Upper bound of the first wait, in seconds; doubled each time.
    longest
        Upper bound of every wait, in seconds.

    Notes
    -----
    "Full jitter" of Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    bound = first
    while True:
        yield random.uniform(0, bound)
        bound = min(longest, bound * 2)
