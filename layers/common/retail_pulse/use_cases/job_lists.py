"""Use case: lists a client's jobs, newest first."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from retail_pulse.domain.errors import InvalidRequestError
from retail_pulse.domain.jobs import MAX_JOB_ID, Job, JobStatus
from retail_pulse.domain.periods import Period
from retail_pulse.domain.text import decimal

# Jobs whose status a page compares at most; the index has about 150 bytes for each.
MAX_PAGE_JOBS = 1000


class JobListStore(Protocol):
    """What lists of jobs need from the table."""

    def listed_jobs(self, client: str, first: int, last: int, page: int) -> Iterator[tuple[int, JobStatus]]: ...
    def jobs(self, client: str, job_ids: Sequence[int]) -> list[Job]: ...


class JobPage(NamedTuple):
    """Jobs, newest first, and the id before which the next page begins; None on the last page."""

    jobs: list[Job]
    next_before: int | None


@dataclass(frozen=True, slots=True)
class JobLists:
    """Lists jobs of one client at a time.

    Parameters
    ----------
    job_size
        Returns how many bytes a job takes in the answer.
    max_bytes
        Maximum size of all jobs of an answer; a single job may be larger.
    """

    store: JobListStore
    job_size: Callable[[Job], int]
    max_bytes: int
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def page(self, client: str, period: Period, status: JobStatus | None, before: int | None, limit: int) -> JobPage:
        """Read a page of at most ``limit`` jobs submitted in a period.

        The status of a job is that of the job itself, not that of the index; the index only finds it. There are fewer
        when their metadata is long.
        """
        ids, next_before = self._find(client, period, status, before, limit)
        now = self.now()
        jobs: list[Job] = []
        left = self.max_bytes
        for job in self.store.jobs(client, ids):
            if job.has_expired(now) or status not in {None, job.status}:
                continue
            left -= self.job_size(job)
            if jobs and left < 0:
                return JobPage(jobs, jobs[-1].job_id)
            jobs.append(job)
        return JobPage(jobs, next_before)

    def _find(
        self, client: str, period: Period, status: JobStatus | None, before: int | None, limit: int
    ) -> tuple[list[int], int | None]:
        first, last = period.job_ids
        if before is not None:
            last = min(last, before - 1)
        if first > last:
            return [], None
        ids: list[int] = []
        previous = None
        entries = self.store.listed_jobs(client, first, last, limit + 1 if status is None else MAX_PAGE_JOBS)
        for compared, (job_id, listed) in enumerate(entries):
            if len(ids) == limit or compared == MAX_PAGE_JOBS:
                return ids, previous
            previous = job_id
            if status in {None, listed}:
                ids.append(job_id)
        return ids, None


def job_before(cursor: str | None) -> int | None:
    """Read the cursor of a list of jobs: the id of the last job before the page.

    Raises
    ------
    InvalidRequestError
        The text is not a cursor.
    """
    if cursor is None:
        return None
    job_id = decimal(cursor, max_digits=16)
    if job_id is None or job_id > MAX_JOB_ID:
        raise InvalidRequestError("cursor must be the next_cursor of an earlier response")
    return job_id
