"""Sending a job's pointers to the queue, and what happens when it does not take them (step 3 of the write protocol)."""

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from retail_pulse.domain.chunks import Pointer
from retail_pulse.domain.errors import StorageUnavailableError
from retail_pulse.domain.jobs import Job

_log = logging.getLogger(__name__)


class PointerSender(Protocol):
    """What the use cases need of the queue."""

    def send(self, pointers: Sequence[Pointer], delay_seconds: int = 0) -> None:
        """Send a message for each pointer."""


class DueMarkingStore(Protocol):
    """What sending needs of the table."""

    def mark_due(self, job: Job, due: int) -> None:
        """Have reprocess look at an open job now."""


def send_or_mark_due(
    store: DueMarkingStore, queue: PointerSender, job: Job, pointers: Sequence[Pointer], now: datetime
) -> bool:
    """Send pointers; when the queue refuses, have the next reprocess send what is missing.

    Returns
    -------
    bool
        Whether all were sent. When not even the table takes the note, reprocess finds the job once it has stalled.
    """
    try:
        queue.send(pointers)
    except StorageUnavailableError as error:
        _log.warning("job %d waits for reprocess: %s", job.job_id, error)
    else:
        return True
    try:
        store.mark_due(job, int(now.timestamp()))
    except StorageUnavailableError as error:
        _log.warning("job %d waits until it has stalled: %s", job.job_id, error)
    return False
