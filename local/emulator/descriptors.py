"""The file descriptors of an execution environment: Lambda allows 1,024, and nothing raises them."""

import resource
import sys
from contextlib import suppress

LIMIT = 1024


def limit_descriptors(pid: int | None = None) -> None:
    """Limit the open descriptors of a process, by default of this one, as Lambda does.

    The limit of another process can be set only on Linux.
    """
    if pid is None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
    elif sys.platform == "linux":
        # A process that has just ended needs no limit.
        with suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
