"""Response bodies of lists over all jobs of a client, and their columns as CSV; `schemas.py` has their models."""

from typing import Any

from retail_pulse.api.answers import job_times
from retail_pulse.domain.jobs import Job
from retail_pulse.use_cases.job_lists import JobPage

JOB_COLUMNS = (
    "job_id", "status", "run", "created_at", "ended_at", "expires_at", "metadata", "visits", "images",
    "progress",
)  # fmt: skip


def jobs_answer(page: JobPage) -> dict[str, Any]:
    """Write a page of jobs."""
    return {
        "jobs": [_job(job) for job in page.jobs],
        "next_cursor": None if page.next_before is None else str(page.next_before),
    }


def _job(job: Job) -> dict[str, Any]:
    return job_times(job) | {
        "visits": job.visits,
        "images": job.images,
        "progress": len(job.done) / job.chunks,
    }
