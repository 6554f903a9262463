"""One processor core for functions that have no more than one to spend."""

import os
from collections.abc import Mapping
from contextlib import suppress

# https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
_MEGABYTES_PER_PROCESSOR = 1_769


def stay_on_one_core(environment: Mapping[str, str] = os.environ) -> None:
    """Bind this process to one core, if its memory gives it one processor at most.

    Lambda shows two cores to every function. The interpreter's lock then moves from one to the other at each wait: a
    hundred threads that download take a fifth more CPU for it.

    Parameters
    ----------
    environment
        Where Lambda says how much memory the function has. Elsewhere nothing changes.
    """
    megabytes = int(environment.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "0"))
    if not 0 < megabytes <= _MEGABYTES_PER_PROCESSOR or not hasattr(os, "sched_setaffinity"):
        return
    cores = sorted(os.sched_getaffinity(0))
    # A refusal costs CPU, not correctness. Workers that start together on one machine take different cores.
    with suppress(OSError):
        os.sched_setaffinity(0, {cores[os.getpid() % len(cores)]})
