"""Use case: a client retries the failed images of an ended job (step 12 of the write protocol)."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from retail_pulse.domain.errors import JobIsOpenError, JobNotFoundError, NothingToRetryError
from retail_pulse.domain.jobs import ClientRetryPolicy, Job, SweepPolicy
from retail_pulse.use_cases.steps import PointerSender, ReopeningStore, send_missing

_POLICY = ClientRetryPolicy()


@dataclass(frozen=True, slots=True)
class Retrying:
    """Reopens an ended job when its client asks for it."""

    store: ReopeningStore
    queue: PointerSender
    sweeps: SweepPolicy
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    policy: ClientRetryPolicy = _POLICY

    def retry(self, client: str, job_id: int) -> Job:
        """Reopen an ended job for its failed images only (step 12), and return it with its new run.

        Raises
        ------
        JobNotFoundError
            The client has no such job, or it has expired.
        JobIsOpenError
            A run of the job has not ended.
        NothingToRetryError
            The job has no failed image.
        RetriesUsedUpError, RetriedTooSoonError
            The client has retried the job too often, or has just done so.
        """
        now = self.now()
        job = self.store.job(client, job_id)
        if job is None or job.has_expired(now):
            raise JobNotFoundError(f"job {job_id} does not exist")
        if not job.open:
            if not job.failed:
                raise NothingToRetryError(f"job {job_id} has no failed image")
            self.policy.check(job, now)
        reopened = None if job.open else self.store.reopen_job(job, self.sweeps.client_run(job, now))
        if reopened is None:
            raise JobIsOpenError(f"run {job.run} of job {job_id} has not ended")
        send_missing(self.store, self.queue, reopened, now)
        return reopened
