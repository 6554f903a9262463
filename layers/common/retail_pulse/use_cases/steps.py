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
    """What the use cases need from the queue."""

    def send(self, pointers: Sequence[Pointer], delay_seconds: int = 0) -> None: ...


class SendingStore(Protocol):
    """What `send_missing` needs from the table; for this method and those of all other stores, see `JobsTable`."""

    def mark_due(self, job: Job, due: int) -> None: ...


class ClosingStore(Protocol):
    """What `close` needs from the table."""

    def close_job(self, job: Job, status: JobStatus, ended_at: datetime, due: int | None) -> Job | None: ...


class ReopeningStore(SendingStore, Protocol):
    """What reopening a job needs from the table."""

    def job(self, client: str, job_id: int) -> Job | None: ...
    def reopen_job(self, job: Job, reopening: Reopening) -> Job | None: ...


def job_fields(job: Job) -> dict[str, object]:
    """Return the fields of log lines that are about a job."""
    return {"client": job.client, "job_id": job.job_id}


def send_missing(store: SendingStore, queue: PointerSender, job: Job, now: datetime, turn: int | None = 0) -> bool:
    """Send a pointer to each chunk that has not ended (steps 3 and 11), and return whether all were sent.

    The pointers are for a turn; None is the turn that each chunk is at. When the queue refuses, the job is marked due
    now. When the table refuses that too, reprocess finds the job once it has stalled.
    """
    try:
        queue.send([job.pointer_to(number, turn) for number in job.missing])
    except StorageUnavailableError as error:
        _log.warning("job %d waits for reprocess: %s", job.job_id, error, extra=job_fields(job))
    else:
        return True
    try:
        store.mark_due(job, int(now.timestamp()))
    except StorageUnavailableError as error:
        _log.warning("job %d waits until it has stalled: %s", job.job_id, error, extra=job_fields(job))
    return False


def close(store: ClosingStore, sweeps: SweepPolicy, job: Job, now: datetime) -> Job | None:
    """End a job whose chunks have all ended (step 9), and return it; None when another worker has ended it."""
    return store.close_job(job, job.status_at_end, now, sweeps.due_after_end(job, now))
