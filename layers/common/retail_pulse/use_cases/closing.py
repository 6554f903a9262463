"""Ending a job whose chunks have all ended (step 9 of the write protocol): by a worker, or by reprocess."""

from datetime import datetime
from typing import Protocol

from retail_pulse.domain.jobs import Job, JobStatus, SweepPolicy


class ClosingStore(Protocol):
    """What `close` needs of the table."""

    def close_job(self, job: Job, status: JobStatus, ended_at: datetime, due: int | None) -> Job | None:
        """End the job's run."""


def close(store: ClosingStore, sweeps: SweepPolicy, job: Job, now: datetime) -> Job | None:
    """End a job whose chunks have all ended (step 9).

    Returns
    -------
    Job or None
        As it is now; None when another worker has ended it.
    """
    return store.close_job(job, job.status_at_end, now, sweeps.due_after_end(job, now))
