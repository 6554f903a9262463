"""One core for the actors of a play."""

import os
from collections.abc import Iterator

import pytest

from retail_pulse.runtime.one_core import stay_on_one_core


@pytest.fixture(autouse=True)
def one_core() -> Iterator[None]:
    """Bind the threads of a test to one core where the system can: they take turns, which cost more between cores."""
    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    stay_on_one_core({"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128"})
    yield
    if before is not None:
        os.sched_setaffinity(0, before)
