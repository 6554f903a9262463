"""Response bodies of the reading routes; `schemas.py` has their models."""

import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from retail_pulse.domain.errors import JobNotFoundError
from retail_pulse.domain.jobs import MAX_JOB_ID, Job
from retail_pulse.domain.outcomes import Failure, Measured
from retail_pulse.domain.text import decimal
from retail_pulse.domain.times import rfc3339
from retail_pulse.domain.usage import DayUsage
from retail_pulse.use_cases.image_rows import ResultRow
from retail_pulse.use_cases.reading import FailedStore, JobProgress, ResultPage
from retail_pulse.use_cases.shown import OutcomeKind, ShownImage
from retail_pulse.use_cases.usage import UsageReport

# Lambda accepts 6,291,456 bytes of a function's answer, and the body is a JSON string within it:
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
# The rest is for status, headers and what is around a list.
MAX_LIST_BYTES = 6_000_000

# The columns of results as CSV.
RESULT_COLUMNS = (
    "visit", "image", "store_id", "store_name", "area_code", "visit_time", "url", "outcome", "width", "height",
    "perimeter", "format", "bytes", "error.code", "error.message", "attempts", "last_error.code", "last_error.message",
    "next_attempt_at",
)  # fmt: skip

# As `json_answer` writes a body. Lambda's runtime for Python 3.12 and newer does not escape characters beyond ASCII in
# the answer around it. Older ones do, which is never shorter.
_in_body = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_in_answer = json.JSONEncoder().encode


def job_id_from(text: str | None) -> int:
    """Read a job's id from a path or a query.

    Raises
    ------
    JobNotFoundError
        The text is absent or not a number that a job can have.
    """
    number = None if text is None else decimal(text, max_digits=16)
    if number is None or number > MAX_JOB_ID:
        raise JobNotFoundError("no such job")
    return number


def status_answer(job: Job, failed_stores: Sequence[FailedStore] | None) -> dict[str, Any]:
    """Write a job's status, with the failed stores unless they are None."""
    answer: dict[str, Any] = {"status": job.status, "job_id": str(job.job_id)}
    if failed_stores is not None:
        answer["error"] = [_failed_store(store) for store in failed_stores]
    return answer


def failed_store_size(store: FailedStore) -> int:
    """Return how many bytes a failed store takes in Lambda's answer."""
    return answer_size(_failed_store(store))


def _failed_store(store: FailedStore) -> dict[str, Any]:
    return {"store_id": store.store_id, "error": store.error}


def answer_size(element: dict[str, Any]) -> int:
    """Return how many bytes an element of a list takes in Lambda's answer, with a comma."""
    # The quotes around the body belong to the answer, not to the element.
    return len(_in_answer(_in_body(element))) - 2 + 1


def details_answer(progress: JobProgress) -> dict[str, Any]:
    """Write a job with its times and counts."""
    job = progress.job
    return job_times(job) | {
        "visits": _counts(job.visits, progress.visits),
        "images": _counts(job.images, progress.images),
    }


def job_times(job: Job) -> dict[str, Any]:
    """Write what details and lists say of a job: its id, status, run and times."""
    return {
        "job_id": str(job.job_id),
        "status": job.status,
        "run": job.run,
        "created_at": rfc3339(job.created_at),
        "ended_at": None if job.ended_at is None else rfc3339(job.ended_at),
        "expires_at": rfc3339(datetime.fromtimestamp(job.expires_at, UTC)),
        "metadata": job.metadata,
    }


def _counts(total: int, kinds: Counter[OutcomeKind]) -> dict[str, int]:
    shown = (OutcomeKind.MEASURED, OutcomeKind.FAILED, OutcomeKind.PENDING)
    return {"total": total} | {kind.value: kinds[kind] for kind in shown}


def retry_answer(job: Job) -> dict[str, Any]:
    """Write a job that was opened again."""
    return {"job_id": str(job.job_id), "status": job.status, "run": job.run}


def results_answer(page: ResultPage) -> dict[str, Any]:
    """Write a page of results."""
    return {
        "results": [result_fields(row) for row in page.rows],
        "next_cursor": None if page.next_position is None else str(page.next_position),
    }


def result_size(row: ResultRow) -> int:
    """Return how many bytes a row takes in Lambda's answer."""
    return answer_size(result_fields(row))


def result_fields(row: ResultRow) -> dict[str, Any]:
    """Write an image of a job."""
    image, store, outcome = row.shown.image, row.store, row.shown.outcome
    measured = outcome if isinstance(outcome, Measured) else None
    failure = outcome if isinstance(outcome, Failure) else None
    return {
        "visit": image.visit,
        "image": image.image,
        "store_id": image.store_id,
        "store_name": store.name if store else None,
        "area_code": store.area_code if store else None,
        "visit_time": image.visit_time,
        "url": image.url,
        "outcome": row.shown.kind,
        "width": measured.width if measured else None,
        "height": measured.height if measured else None,
        "perimeter": measured.perimeter if measured else None,
        "format": measured.format if measured else None,
        "bytes": measured.bytes if measured else None,
        "error": _error(failure),
        **_attempts(row.shown),
    }


def _error(failure: Failure | None) -> dict[str, Any] | None:
    return None if failure is None else {"code": failure.code, "message": failure.message}


def _attempts(shown: ShownImage) -> dict[str, Any]:
    """Write the attempts at an image; a measured one does not keep them, and only a pending one has a next one."""
    attempts, outcome = shown.attempts, shown.outcome
    if outcome is not None:
        count = outcome.attempts if isinstance(outcome, Failure) else None
        return {"attempts": count, "last_error": None, "next_attempt_at": None}
    if attempts is None:
        return {"attempts": 0, "last_error": None, "next_attempt_at": None}
    at = rfc3339(datetime.fromtimestamp(attempts.not_before, UTC)) if attempts.not_before else None
    return {"attempts": attempts.total, "last_error": _error(attempts.last_error), "next_attempt_at": at}


def usage_answer(report: UsageReport, scopes: Sequence[str]) -> dict[str, Any]:
    """Write a client's usage, and the scopes of the calling key."""
    limits = {"limit": report.limit, "remaining": report.remaining, "resets_at": rfc3339(report.resets_at)}
    return {
        "client": report.client,
        "scopes": list(scopes),
        "today": _day(report.today) | limits,
        "days": [_day(usage) for usage in report.days],
    }


def _day(usage: DayUsage) -> dict[str, Any]:
    return {"date": usage.day.isoformat(), "images": usage.images, "requests": usage.requests}
