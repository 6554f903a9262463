"""GET /api/jobs: a client's jobs, newest first."""

import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from local.emulator.gateway import LAMBDA_BYTES
from local.lambda_host.table import TABLE
from retail_pulse.api import schemas
from retail_pulse.domain.chunks import Scope
from retail_pulse.domain.jobs import Job, JobStatus, job_id_at
from retail_pulse.storage.jobs_table import JobsTable
from retail_pulse.use_cases.job_lists import MAX_PAGE_JOBS
from tests.functions.service import Service
from tests.functions.test_lists import get

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def put(number: int, status: JobStatus = JobStatus.COMPLETED, **values: object) -> str:
    """Store a job that was submitted some hours before noon; return its id."""
    created_at = NOW - timedelta(hours=number)
    job = {
        "client": "me", "job_id": job_id_at(created_at, 7), "nonce": "n", "status": status, "open": False, "run": 1,
        "scope": Scope.ALL, "created_at": created_at, "visits": 2, "images": 9, "chunks": 4,
        "expires_at": int(datetime(2100, 1, 1, tzinfo=UTC).timestamp()),
    }  # fmt: skip
    stored = Job(**job | values)  # type: ignore[arg-type]
    JobsTable(boto3.client("dynamodb"), TABLE).put_job(stored)
    return str(stored.job_id)


def listed(service: Service, **query: Any) -> list[list[str]]:
    """Return the ids of all pages."""
    found = []
    while True:
        code, body = service.get("/api/jobs", **query)
        assert code == 200
        page = schemas.JobList.model_validate(body)
        found.append([job.job_id for job in page.jobs])
        if page.next_cursor is None:
            return found
        query["cursor"] = page.next_cursor


def test_a_job_of_the_list_says_how_far_it_is(service: Service) -> None:
    job_id = put(0, JobStatus.FAILED, open=True, run=2, ended_at=NOW, done=frozenset({0, 2, 3}), metadata={"by": "=1"})
    assert service.get("/api/jobs")[1] == {
        "jobs": [
            {
                "job_id": job_id, "status": "failed", "run": 2, "created_at": "2026-11-23T12:00:00.000Z",
                "ended_at": "2026-11-23T12:00:00.000Z", "expires_at": "2100-01-01T00:00:00.000Z",
                "metadata": {"by": "=1"}, "visits": 2, "images": 9, "progress": 0.75,
            }
        ],
        "next_cursor": None,
    }  # fmt: skip


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 100])
def test_pages_have_each_job_once_newest_first(service: Service, limit: int) -> None:
    ids = [put(number) for number in range(5)]
    put(0, client="you")
    pages = listed(service, limit=limit)
    assert [job_id for page in pages for job_id in page] == ids
    assert all(len(page) == limit for page in pages[:-1])
    rows = csv.DictReader(io.StringIO(get(service, "/api/jobs", "format=csv")["body"], newline=""))
    assert [(row["job_id"], row["progress"], row["ended_at"]) for row in rows] == [(each, "0.0", "") for each in ids]


def test_jobs_are_found_by_status_and_time(service: Service) -> None:
    ids = [put(number, JobStatus.FAILED if number % 2 else JobStatus.COMPLETED) for number in range(24)]
    assert listed(service, status="failed", limit=100) == [ids[1::2]]
    # Submitted at 12:00, 11:00, … of the 23rd, and down to 13:00 of the 22nd.
    assert listed(service, **{"from": "2026-11-23"}) == [ids[:13]]
    assert listed(service, to="2026-11-22") == [ids[13:]]
    assert listed(service, **{"from": "2026-11-23T10:00:00Z"}, to="2026-11-23T12:00:00Z") == [ids[1:3]]
    assert listed(service, **{"from": "2026-11-23T11:00:00+01:00"}, to="2026-11-23", status="completed") == [ids[:3:2]]
    assert listed(service, **{"from": "2026-11-23T11:00:00Z"}, to="2026-11-23") == [ids[:2]]
    # An empty period is not a wrong one.
    assert listed(service, **{"from": "2026-11-23T11:00:00Z"}, to="2026-11-23T11:00:00Z") == [[]]
    assert listed(service, to="2020-01-01") == [[]]
    assert listed(service, **{"from": "9999-12-31"}) == [[]]
    assert listed(service, status="ongoing") == [[]]


def test_expired_jobs_are_absent(service: Service) -> None:
    put(0, expires_at=1)
    assert listed(service) == [[]]


def test_a_status_that_no_job_has_ends_after_pages_of_bounded_reads(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retail_pulse.use_cases.job_lists.MAX_PAGE_JOBS", 4)
    assert MAX_PAGE_JOBS == 1000
    for number in range(9):
        put(number)
    assert listed(service, status="failed") == [[], [], []]


@pytest.mark.parametrize(
    ("form", "job", "next_cursor"),
    [("json", r'"job_id":"(\d+)"', r'"next_cursor":"(\d+)"'), ("csv", r"(?m)^(\d+),", r"cursor=(\d+)>")],
)
def test_jobs_with_the_longest_metadata_fit_into_an_answer(
    service: Service, form: str, job: str, next_cursor: str
) -> None:
    # Such a character takes seven bytes: as JSON, within the JSON that Lambda passes on.
    metadata = {f"{number:02}".ljust(64, "\x01"): "\x01" * 512 for number in range(16)}
    ids = [put(number, metadata=metadata) for number in range(100)]
    found: list[str] = []
    query: str | None = f"limit=100&format={form}"
    while query is not None:
        answer = get(service, "/api/jobs", query)
        assert len(json.dumps(answer, ensure_ascii=False).encode()) < LAMBDA_BYTES
        found += re.findall(job, answer["body"])
        following = re.search(next_cursor, answer["headers"].get("Link", "") + answer["body"])
        query = following and f"limit=100&format={form}&cursor={following[1]}"
    assert found == ids


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("limit=101", "limit must be an integer from 1 to 100"),
        ("status=open", "status must be ongoing, completed or failed"),
        ("from=x", "from must be a date or a date-time of RFC 3339, such as 2026-11-23 or 2026-11-23T10:00:00Z"),
        ("to=", "to must be a date or a date-time of RFC 3339, such as 2026-11-23 or 2026-11-23T10:00:00Z"),
        ("from=2026-11-24&to=2026-11-22", "from must not be after to"),
        ("from=2026-11-24&to=2026-11-23", "from must not be after to"),
        ("from=2026-11-24T00:00:00Z&to=2026-11-23", "from must not be after to"),
        ("from=2026-11-23T10:00:01Z&to=2026-11-23T10:00:00Z", "from must not be after to"),
        ("cursor=0.1", "cursor must be the next_cursor of an earlier response"),
        ("cursor=9999999999999999", "cursor must be the next_cursor of an earlier response"),
        ("outcome=failed", "outcome is not a parameter of this route"),
    ],
)  # fmt: skip
def test_a_wrong_parameter_is_named(service: Service, query: str, error: str) -> None:
    answer = get(service, "/api/jobs", query)
    assert answer["statusCode"] == 400
    assert f'"detail":"{error}"' in answer["body"]
