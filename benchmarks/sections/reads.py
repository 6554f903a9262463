"""Counts what the routes read: calls and read units of one request each, of small and of large jobs."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from unittest import mock

import boto3
from moto import mock_aws

from benchmarks.harness.processes import run_in_new_process
from benchmarks.harness.report import Figure, Section, Settings, Table
from benchmarks.world.prices import cost
from benchmarks.world.read_costs import READS, ReadCosts
from benchmarks.world.served_images import urls
from local.emulator.emulator import AWS_VARIABLES
from local.lambda_host.context import Context
from local.lambda_host.environment import environment
from local.lambda_host.events import api_event
from local.lambda_host.load import load
from local.lambda_host.table import TABLE, create_table
from retail_pulse.domain.chunks import Chunk, Scope, cut
from retail_pulse.domain.failures import FailureCode
from retail_pulse.domain.jobs import Job, JobStatus, job_id_at
from retail_pulse.domain.outcomes import Failure, Measured, Outcome
from retail_pulse.domain.visits import Visit, VisitRow
from retail_pulse.storage.jobs_table import JobsTable

_IMAGES = 1_000
_JOBS = 1_000
_VISITS = 500
_STORE, _OTHER_STORE = "S00339218", "S01408764"
_VISIT_IMAGES, _CHUNK_IMAGES, _CHUNK_BYTES = 4, 50, 100_000
_NOW = datetime.now(UTC).replace(microsecond=0)
_EXPIRES = int((_NOW + timedelta(days=90)).timestamp())
_GOOD = Measured("JPEG", 1280, 720, 102_400)
_BAD = Failure(FailureCode.HTTP_STATUS, "images.example.com returned status 404", is_transient=False)


@dataclass(frozen=True, slots=True)
class Read:
    """A request, and what it read."""

    route: str
    what: str
    calls: int
    items: int
    units: float


def measure(settings: Settings) -> Section:
    """Count the reads of each route; nothing depends on the machine."""
    of_one_job = partial(_of_one_job, 6_000 if settings.quick else 60_000)
    reads = [read for fill in (of_one_job, _of_lists, _of_visits) for read in run_in_new_process(_reads, fill)]
    page = next(each for each in reads if each.what == "100 rows")
    report = max((each for each in reads if each.route == "GET /api/visits"), key=lambda each: each.calls)
    return Section(
        "What reading costs",
        "The deployed handler answers one request of each kind, with the table in memory (moto). Calls and items are "
        "counted at its client, and read units by the published rules. Reads of items are consistent; queries of the "
        "index are not, and cost half. Chunks have 50 images with URLs of 70 bytes, in visits of 4. In addition, the "
        "authorizer reads one item (one unit) for a key that API Gateway does not have in its cache.\n\n"
        "A page costs the same in a job of any size, and a filter bounds it: a page reads at most 200 chunks, 1,000 "
        "jobs or 500 stores, then leads on by cursor. Only `GET /api/jobs/{job_id}` grows with the job: it counts "
        "images, so it reads every chunk that is not done or holds failures, up to 100 per call and 16 calls at once. "
        "A client that polls a large job asks `/api/status`, which reads one item while the job runs.",
        [
            Figure("read units of a page of 100 results", page.units, 8),
            Figure("calls of a page of a report over all stores", report.calls, 500),
        ],
        [
            Table(
                "One request of each route",
                ["route", "request", "calls", "items", "read units", "USD per million requests"],
                [_row(each) for each in reads],
            )
        ],
    )


def _row(read: Read) -> list[str]:
    usd = cost("dynamodb_read_unit", read.units * 10**6)
    return [f"`{read.route}`", read.what, f"{read.calls:,}", f"{read.items:,}", f"{read.units:,.1f}", f"{usd:,.2f}"]


# Client, route as shown, path, query and what it asks for.
_Request = tuple[str, str, str, str, str]


def _reads(fill: Callable[[JobsTable], Iterable[_Request]]) -> list[Read]:
    """Fill a table, and send the requests for what it has to the status function."""
    variables = AWS_VARIABLES | environment("status", {"LogLevel": "ERROR"}, JobsTable=TABLE)
    with mock.patch.dict(os.environ, variables), mock_aws():
        client = boto3.client("dynamodb")
        create_table(client)
        requests = list(fill(JobsTable(client, TABLE)))
        app = load("status")
        costs = ReadCosts(app.dynamodb)
        return [_read(app, costs, *request) for request in requests]


@dataclass(frozen=True, slots=True)
class _Kind:
    """A job of some images: whether each chunk is done and holds a failure, and whether its chunks are stored."""

    images: int
    is_done: bool = True
    has_failures: bool = False
    chunks_stored: bool = True


def _of_one_job(large: int, table: JobsTable) -> Iterator[_Request]:
    sizes = f"{_IMAGES:,} images", f"{large:,} images, a failure in each chunk", f"{large:,} images, no chunk done"
    kinds = _Kind(_IMAGES), _Kind(large, has_failures=True), _Kind(large, is_done=False)
    jobs = [_job(table, "one", number, kind) for number, kind in enumerate(kinds)]
    for job, what in zip(jobs, sizes, strict=True):
        yield "one", "GET /api/status", "/api/status", f"jobid={job}", what
    for job, what in zip(jobs, sizes, strict=True):
        yield "one", "GET /api/jobs/{job_id}", f"/api/jobs/{job}", "", what
    for query, what in (
        ("limit=100", "100 rows"),
        ("limit=1000", "1,000 rows"),
        ("outcome=failed&limit=100", "100 failed ones, one per chunk"),
        ("store_id=none", "a store without images"),
    ):
        yield "one", "GET /api/jobs/{job_id}/results", f"/api/jobs/{jobs[1]}/results", query, what


def _of_lists(table: JobsTable) -> Iterator[_Request]:
    for number in range(_JOBS):
        _job(table, "many", number, _Kind(_IMAGES, chunks_stored=number < 10))
    of_images = "GET /api/images", "/api/images"
    yield "many", "GET /api/jobs", "/api/jobs", "limit=50", "50 jobs"
    yield "many", "GET /api/jobs", "/api/jobs", "status=failed", f"a status that none of {_JOBS:,} jobs has"
    yield "many", *of_images, "limit=100", "100 rows"
    yield "many", *of_images, "outcome=failed", f"failed ones, of {_JOBS:,} jobs without any"
    yield "many", "GET /api/usage", "/api/usage", "", "today"


def _of_visits(table: JobsTable) -> Iterator[_Request]:
    days = [f"2026-11-{1 + number % 28:02}" for number in range(_VISITS)]
    rows = [VisitRow("many", 1, number, 1, 1, _STORE, day, 4_000, 4) for number, day in enumerate(days)]
    table.put_visit_rows([(row, _EXPIRES) for row in rows], 30)
    for query, what in (
        (f"storeid={_STORE}&limit=100", f"100 of {_VISITS} visits to a store"),
        ("limit=1000", "all 5,000 stores: the first 500"),
    ):
        yield "many", "GET /api/visits", "/api/visits", query, what


def _read(app: Any, costs: ReadCosts, client: str, route: str, path: str, query: str, what: str) -> Read:
    sent = api_event("GET", path) | {"rawQueryString": query}
    sent["queryStringParameters"] = dict(pair.split("=") for pair in query.split("&") if pair)
    sent["requestContext"]["authorizer"]["lambda"] |= {"client": client}
    costs.clear()
    answer = app.handler(sent, Context())
    if answer["statusCode"] != 200:
        raise RuntimeError(f"{path}?{query} returned {answer['statusCode']}: {answer['body'][:200]}")
    # Without the client's usage, which is written now and then.
    calls = sum(costs.calls[name] for name in READS)
    return Read(route, what, calls, costs.items, costs.units)


def _job(table: JobsTable, client: str, number: int, kind: _Kind) -> int:
    """Store a job that was submitted some minutes ago; return its id."""
    created_at = _NOW - timedelta(minutes=number)
    images = urls("https://images.example.com", kind.images)
    visits = [
        Visit(_OTHER_STORE, "2026-11-23T10:00:00Z", images[first : first + _VISIT_IMAGES])
        for first in range(0, kind.images, _VISIT_IMAGES)
    ]
    chunks = cut(visits, _CHUNK_IMAGES, _CHUNK_BYTES)
    every = frozenset(range(len(chunks)))
    job = Job(
        client=client, job_id=job_id_at(created_at, 0), nonce=f"{client}{number}",
        status=(JobStatus.FAILED if kind.has_failures else JobStatus.COMPLETED) if kind.is_done else JobStatus.ONGOING,
        open=not kind.is_done, run=1, scope=Scope.ALL, created_at=created_at, ended_at=_NOW if kind.is_done else None,
        visits=len(visits), images=kind.images, chunks=len(chunks), due=None, expires_at=_EXPIRES,
        done=every if kind.is_done else frozenset(), failed=every if kind.has_failures else frozenset(),
    )  # fmt: skip
    table.put_job(job)
    if kind.chunks_stored:
        table.put_chunks(job.nonce, [replace(chunk, outcomes=_outcomes(chunk, kind)) for chunk in chunks], _EXPIRES)
    return job.job_id


def _outcomes(chunk: Chunk, kind: _Kind) -> dict[int, Outcome]:
    if not kind.is_done:
        return {}
    return {image.index: _BAD if kind.has_failures and image.index == 0 else _GOOD for image in chunk.images()}
