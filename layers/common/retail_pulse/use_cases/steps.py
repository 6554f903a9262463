"""Steps of the write protocol that several use cases take, and the ports that they share."""

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from retail_pulse.domain.chunks import Pointer
from retail_pulse.domain.errors import StorageUnavailableError
from retail_pulse.domain.jobs import Job, JobStatus, Reopening, SweepPolicy

_log = logging.getLogger(__name__)


class PointerSender(Protocol):
    """What the use cases need of the queue."""

    def send(self, pointers: Sequence[Pointer], delay_seconds: int = 0) -> None:
        """Send a message for each pointer."""


class SendingStore(Protocol):
    """What `send_missing` needs of the table."""

    def mark_due(self, job: Job, due: int) -> None:
        """Mark an open job due now, so that the next sweep sends its messages."""


class ClosingStore(Protocol):
    """What `close` needs of the table."""

    def close_job(self, job: Job, status: JobStatus, ended_at: datetime, due: int | None) -> Job | None:
        """End the job's run."""


class ReopeningStore(SendingStore, Protocol):
    """What it takes of the table to reopen a job."""

    def job(self, client: str, job_id: int) -> Job | None:
        """Read a client's job."""

    def reopen_job(self, job: Job, reopening: Reopening) -> Job | None:
        """Reopen an ended job."""


def send_missing(store: SendingStore, queue: PointerSender, job: Job, now: datetime, turn: int | None = 0) -> bool:
    """Send a pointer to each chunk that has not ended (steps 3 and 11); when the queue refuses, mark the job due now.

    Parameters
    ----------
    turn
        The turn that the messages are for; None for the one that each chunk is at.

    Returns
    -------
    bool
        Whether all were sent. When the table refuses the mark too, reprocess finds the job once it has stalled.
    """
    try:
        queue.send([job.pointer_to(number, turn) for number in job.missing])
    except StorageUnavailableError as error:
        _log.warning("job %d waits for reprocess: %s", job.job_id, error)
    else:
        return True
    try:
        store.mark_due(job, int(now.timestamp()))
    except StorageUnavailableError as error:
        _log.warning("job %d waits until it has stalled: %s", job.job_id, error)
    return False


def close(store: ClosingStore, sweeps: SweepPolicy, job: Job, now: datetime) -> Job | None:
    """End a job whose chunks have all ended (step 9).

    Returns
    -------
    Job or None
        The job as it is now; None when another worker has ended it.
    """
    return store.close_job(job, job.status_at_end, now, sweeps.due_after_end(job, now))
