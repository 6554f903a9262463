"""Response bodies of lists over all jobs of a client, and their columns as CSV; `schemas.py` has their models."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo
from typing import Any

from retail_pulse.api.answers import RESULT_COLUMNS, answer_size, job_times, result_fields
from retail_pulse.domain.jobs import Job
from retail_pulse.domain.times import rfc3339
from retail_pulse.use_cases.image_lists import ImagePage
from retail_pulse.use_cases.image_rows import ResultRow
from retail_pulse.use_cases.job_lists import JobPage
from retail_pulse.use_cases.visit_reports import VisitPage

JOB_COLUMNS = (
    "job_id", "status", "run", "created_at", "ended_at", "expires_at", "metadata", "visits", "images",
    "progress",
)  # fmt: skip
VISIT_COLUMNS = ("store_id", "area", "store_name", "date", "perimeter")
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


def job_size(job: Job) -> int:
    """Return how many bytes a job takes in Lambda's answer at most: as CSV, its metadata is JSON within a cell."""
    return answer_size(_job(job) | {"metadata": json.dumps(dict(job.metadata))})


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


def visits_answer(page: VisitPage, zone: tzinfo) -> dict[str, Any]:
    """Write a page of a report, with times in a time zone."""
    return {
        "results": [
            {
                "store_id": each.store.store_id,
                "area": each.store.area_code,
                "store_name": each.store.name,
                "data": [
                    {"date": None if visit.time is None else _local(visit.time, zone), "perimeter": visit.perimeter}
                    for visit in each.visits
                ],
            }
            for each in page.stores
        ],
        "next_cursor": None if page.next_cursor is None else str(page.next_cursor),
    }


def visit_rows(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the visits of a page of a report, each with its store."""
    return [store | visit for store in answer["results"] for visit in store["data"]]


def _local(time: datetime, zone: tzinfo) -> str:
    try:
        local = time.astimezone(zone)
    except OverflowError:
        # A time in the first or the last hours of the calendar.
        return rfc3339(time)
    # Before standard time, offsets had seconds, and RFC 3339 has none.
    whole_minutes = (local.utcoffset() or timedelta()) % timedelta(minutes=1) == timedelta()
    return rfc3339(local if whole_minutes else time)
