"""Response bodies of lists over all jobs of a client, and their columns as CSV; `schemas.py` has their models."""

from typing import Any

from retail_pulse.api.answers import RESULT_COLUMNS, answer_size, job_times, result_fields
from retail_pulse.domain.jobs import Job
from retail_pulse.domain.times import rfc3339
from retail_pulse.use_cases.image_lists import ImagePage
from retail_pulse.use_cases.image_rows import ResultRow
from retail_pulse.use_cases.job_lists import JobPage

JOB_COLUMNS = (
    "job_id", "status", "run", "created_at", "ended_at", "expires_at", "metadata", "visits", "images",
    "progress",
)  # fmt: skip
IMAGE_COLUMNS = ("job_id", "submitted_at", *RESULT_COLUMNS)


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


def images_answer(page: ImagePage) -> dict[str, Any]:
    """Write a page of images."""
    return {
        "images": [_image(row) for row in page.rows],
        "next_cursor": None if page.next_cursor is None else str(page.next_cursor),
    }


def image_size(row: ResultRow) -> int:
    """Return how many bytes an image takes in Lambda's answer."""
    return answer_size(_image(row))


def _image(row: ResultRow) -> dict[str, Any]:
    return {"job_id": str(row.job.job_id), "submitted_at": rfc3339(row.job.created_at)} | result_fields(row)
