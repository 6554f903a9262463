"""Use case: a client has an ended job opened again for its failed images (step 12 of the write protocol)."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from retail_pulse.domain.errors import JobIsOpenError, JobNotFoundError, NothingToRetryError
from retail_pulse.domain.jobs import Job, Reopening, SweepPolicy
from retail_pulse.use_cases.steps import DueMarkingStore, PointerSender, send_or_mark_due


class ReopeningStore(DueMarkingStore, Protocol):
    """What opening a job again needs of the table."""

    def job(self, client: str, job_id: int) -> Job | None:
        """Read a client's job."""

    def reopen_job(self, job: Job, reopening: Reopening) -> Job | None:
        """Open an ended job again."""


@dataclass(frozen=True, slots=True)
class Retrying:
    """Opens an ended job again at its client's wish.

    Parameters
    ----------
    store, queue
        The table and the queue.
    looks
        When reprocess is to look at the job.
    now
        The clock.
    """

    store: ReopeningStore
    queue: PointerSender
    sweeps: SweepPolicy
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def retry(self, client: str, job_id: int) -> Job:
        """Open an ended job again for its failed images alone (step 12).

        Returns
        -------
        Job
            As it is now, with its new run.

        Raises
        ------
        JobNotFoundError
            The client has no such job, or it has expired.
        JobIsOpenError
            A run of it has not ended.
        NothingToRetryError
            It has no failed image.
        """
        now = self.now()
        job = self.store.job(client, job_id)
        if job is None or job.has_expired(now):
            raise JobNotFoundError(f"there is no job {job_id}")
        if not job.open and not job.failed:
            raise NothingToRetryError(f"job {job_id} has no failed image")
        reopened = None if job.open else self.store.reopen_job(job, self.sweeps.client_run(job, now))
        if reopened is None:
            raise JobIsOpenError(f"run {job.run} of job {job_id} has not ended")
        send_or_mark_due(
            self.store, self.queue, reopened, [reopened.pointer_to(number) for number in reopened.missing], now
        )
        return reopened
