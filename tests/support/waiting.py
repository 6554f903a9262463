"""Waiting for what sends no event: other processes, and queues."""

import time
from collections.abc import Callable

# For a job on a busy machine. It is far above any promise, so that only something that hangs exceeds it.
END_SECONDS = 120.0
_LOOK_AGAIN_SECONDS = 0.05


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    """Wait until a condition holds, or fail."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(_LOOK_AGAIN_SECONDS)
