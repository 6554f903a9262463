"""Clients are isolated: every route is called with another client's IDs, cursors and idempotency keys.

The routes are those of docs/openapi.json; a new one without a test here fails.
"""

import json
import re
from typing import Any
from urllib.parse import urlencode

import boto3
import pytest

from local.client import submission
from local.images.pictures import Format, make_image
from local.images.server import ImageServer
from local.lambda_host.context import Context
from local.lambda_host.events import api_event
from local.lambda_host.table import TABLE
from retail_pulse.use_cases.visit_reports import VisitCursor
from tests.functions.service import STORE, Answer, Service
from tests.support.description import DESCRIPTION, routes
from tools.postman import inlined

OWNER, STRANGER = (
    {"client": name, "key_id": f"{name}.0123456789ab", "scopes": "admin"} for name in ("owner", "stranger")
)
NAME = "order-1"
FIRST = submission((STORE, ["http://127.0.0.1:9/a.jpg"] * 2))
OTHER = submission((STORE, ["http://127.0.0.1:9/b.jpg"] * 2))
# A valid ID without a job.
UNUSED = "9007199254740991"

# For each route with a job's ID: the query with which a stranger calls it.
BY_JOB: dict[str, dict[str, str]] = {
    "GET /api/status": {"jobid": "{job_id}"},
    "GET /api/jobs/{job_id}": {},
    "GET /api/jobs/{job_id}/results": {"cursor": "{cursor}"},
    "POST /api/jobs/{job_id}/retry": {},
}
# Routes without a job's ID, each with its own test below.
OTHERS = {
    "POST /api/submit": "test_an_idempotency_key_belongs_to_its_client",
    "GET /api/jobs": "test_a_client_lists_only_its_own_jobs",
    "GET /api/images": "test_a_client_lists_only_its_own_images",
    "GET /api/visits": "test_a_client_reads_only_its_own_visits",
    "GET /api/usage": "test_a_client_reads_only_its_own_usage",
}
# Routes with CSV: a query, and how many rows the owner has.
CSV: list[tuple[str, dict[str, str], int]] = [
    ("/api/jobs/{job_id}/results", {}, 2),
    ("/api/jobs", {}, 1),
    ("/api/images", {}, 2),
    ("/api/visits", {"storeid": STORE}, 1),
]


class Jobs:
    """A job of the owner, and a stranger who attempts to reach it."""

    def __init__(self, service: Service) -> None:
        self._service = service
        code, answer = service.post(body=FIRST, by=OWNER, idempotency_key=NAME)
        assert code == 201
        self.job = str(answer["job_id"])
        code, page = service.get(f"/api/jobs/{self.job}/results", by=OWNER, limit=1)
        assert code == 200
        self.cursor = page["next_cursor"]
        assert self.cursor

    def attempt(self, route: str, job: str) -> Answer:
        """Call a route with an ID as the stranger."""
        method, path = (part.replace("{job_id}", job) for part in route.split())
        if method == "POST":
            return self._service.post(path, "", by=STRANGER)
        known = {"{job_id}": job, "{cursor}": self.cursor}
        return self._service.get(path, by=STRANGER, **{name: known[part] for name, part in BY_JOB[route].items()})


@pytest.fixture
def jobs(service: Service) -> Jobs:
    return Jobs(service)


def items() -> list[dict[str, Any]]:
    found: Any = boto3.client("dynamodb").scan(TableName=TABLE)["Items"]
    return sorted(found, key=lambda item: str(item["pk"]))


def test_every_route_that_needs_a_key_is_called() -> None:
    assert {f"{method} {path}" for method, path in routes(with_key=True)} == {*BY_JOB, *OTHERS}
    assert all(name in globals() for name in OTHERS.values())


def test_routes_without_a_key_have_no_parameters() -> None:
    for method, path in routes(with_key=False):
        assert not DESCRIPTION["paths"][path][method.lower()].get("parameters")
        assert "{" not in path


@pytest.mark.parametrize("route", BY_JOB)
def test_another_clients_job_looks_like_a_job_that_does_not_exist(jobs: Jobs, route: str) -> None:
    before = items()
    code, answer = jobs.attempt(route, jobs.job)

    # The response is the same as for an ID without a job, so it does not even reveal that the job exists.
    assert (code, answer) in ((400, {}), (404, answer))
    unknown = json.loads(json.dumps(jobs.attempt(route, UNUSED)).replace(UNUSED, jobs.job))
    assert [code, answer] == unknown
    assert items() == before


@pytest.mark.parametrize("route", BY_JOB)
def test_no_spelling_of_an_id_reaches_another_clients_job(jobs: Jobs, route: str) -> None:
    job = jobs.job
    tricks = [
        f"owner#{job}", f"{job}#JOB", f"{job}%23", f"+{job}", f"{job} ", f" {job}", f"{job}\x00", f"../{job}", "*",
        f"0{job}", f"{job}.0",
    ]  # fmt: skip
    assert {jobs.attempt(route, trick)[0] for trick in tricks} <= {400, 404}


def test_an_idempotency_key_belongs_to_its_client(service: Service, jobs: Jobs) -> None:
    # GIVEN a submission with the idempotency key of another client's submission
    code, answer = service.post(body=OTHER, by=STRANGER, idempotency_key=NAME)

    # THEN the response reveals nothing of that submission, and names a new job
    assert code == 201
    assert service.get("/api/status", by=STRANGER, jobid=answer["job_id"])[0] == 200
    assert service.get("/api/status", by=OWNER, jobid=answer["job_id"]) == (400, {})
    # AND the other client still gets its own job for that key
    assert service.post(body=FIRST, by=OWNER, idempotency_key=NAME) == (201, {"job_id": int(jobs.job)})
    assert service.post(body=OTHER, by=OWNER, idempotency_key=NAME)[0] == 422


@pytest.mark.usefixtures("jobs")
def test_a_client_reads_only_its_own_usage(service: Service) -> None:
    service.submit("http://127.0.0.1:9/mine.jpg", by=STRANGER)
    for by, images in ((STRANGER, 1), (OWNER, 2)):
        assert service.get("/api/usage", by=by, client="owner")[0] == 400
        code, found = service.get("/api/usage", by=by)
        assert (code, found["client"]) == (200, by["client"])
        # A test at midnight has them on two days.
        assert sum(day["images"] for day in (found["today"], *found["days"])) == images


def test_a_client_lists_only_its_own_jobs(service: Service, jobs: Jobs) -> None:
    for by, ids in ((STRANGER, []), (OWNER, [jobs.job])):
        code, page = service.get("/api/jobs", by=by)
        assert (code, [job["job_id"] for job in page["jobs"]]) == (200, ids)
    # A cursor is an ID, and no more than a bound.
    mine = str(service.submit("http://127.0.0.1:9/mine.jpg", by=STRANGER))
    for cursor, ids in ((jobs.job, []), (UNUSED, [mine]), (mine, [])):
        code, page = service.get("/api/jobs", by=STRANGER, cursor=cursor)
        assert (code, [job["job_id"] for job in page["jobs"]]) == (200, ids)
    assert service.get("/api/jobs", by=STRANGER, client="owner")[0] == 400


def test_a_client_lists_only_its_own_images(service: Service, jobs: Jobs) -> None:
    code, first = service.get("/api/images", by=OWNER, limit=1)
    assert (code, [image["job_id"] for image in first["images"]]) == (200, [jobs.job])
    nothing: Answer = (200, {"images": [], "next_cursor": None})
    assert service.get("/api/images", by=STRANGER) == nothing
    assert service.get("/api/images", by=STRANGER, cursor=first["next_cursor"]) == nothing
    mine = str(service.submit("http://127.0.0.1:9/mine.jpg", by=STRANGER))
    # Another client's ID in a cursor, and more than there is, bound the list and show nothing.
    for cursor, ids in (
        (f"{jobs.job}.0.0", []),
        (f"{UNUSED}.5.5", [mine]),
        (f"{mine}.0.0", [mine]),
        (f"{mine}.0.7", []),
    ):
        code, page = service.get("/api/images", by=STRANGER, cursor=cursor)
        assert (code, [image["job_id"] for image in page["images"]]) == (200, ids)


def test_a_client_reads_only_its_own_visits(service: Service) -> None:
    with ImageServer() as server:
        url = server.add("/a.png", make_image(Format.PNG, 64, 48))
        for count in (1, 2):
            service.post(body=submission(*[(STORE, [url])] * count), by=OWNER)
        service.deliver()
    code, first = service.get("/api/visits", by=OWNER, storeid=STORE, limit=1)
    assert (code, len(first["results"]), first["results"][0]["store_id"]) == (200, 1, STORE)
    code, rest = service.get("/api/visits", by=OWNER, storeid=STORE, cursor=first["next_cursor"])
    assert (code, len(rest["results"][0]["data"])) == (200, 2)
    nothing: Answer = (200, {"results": [], "next_cursor": None})
    for query in ({}, {"cursor": first["next_cursor"]}, {"cursor": str(VisitCursor("", ""))}):
        assert service.get("/api/visits", by=STRANGER, storeid=STORE, **query) == nothing
    for forged in (f"owner#STORE#{STORE}", f"{STORE}#STORE#x"):
        assert service.get("/api/visits", by=STRANGER, storeid=forged)[0] == 400
        cursor = str(VisitCursor(f"owner#STORE#{STORE}", ""))
        assert service.get("/api/visits", by=STRANGER, storeid=STORE, cursor=cursor) == nothing


def test_every_route_with_csv_is_read() -> None:
    described = {
        path
        for path, operations in inlined(DESCRIPTION, DESCRIPTION)["paths"].items()
        if "text/csv" in operations.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
    }
    assert described == {path for path, _, _ in CSV}


@pytest.mark.parametrize(("path", "query", "rows"), CSV)
def test_no_csv_and_no_link_of_it_shows_another_clients_rows(
    service: Service, path: str, query: dict[str, str], rows: int
) -> None:
    with ImageServer() as server:
        url = server.add("/a.png", make_image(Format.PNG, 64, 48))
        job = service.submit(url, url, by=OWNER)
        service.deliver()

    def read(by: dict[str, str], raw: str) -> tuple[int, int, str]:
        sent = api_event("GET", path.replace("{job_id}", str(job))) | {"rawQueryString": raw}
        sent["requestContext"]["authorizer"]["lambda"] |= by
        answer = service.load("status").handler(sent, Context())
        # The first line of CSV is the header.
        return answer["statusCode"], answer["body"].count("\r\n") - 1, answer["headers"].get("Link", "")

    code, shown, link = read(OWNER, urlencode(query | {"format": "csv", "limit": "1"}))
    assert (code, shown) == (200, 1)
    assert bool(link) is (rows > 1)
    # Nothing in a link says whose it is: the stranger's key decides, whatever the cursor.
    following = link.partition("?")[2].partition(">")[0]
    for raw in (urlencode(query | {"format": "csv"}), *([following] if following else [])):
        code, shown, stolen = read(STRANGER, raw)
        assert (code, shown, stolen) in ((404, -1, ""), (200, 0, ""))
        assert read(OWNER, raw)[1] >= 1


def test_no_idempotency_key_can_imitate_another_clients(service: Service, jobs: Jobs) -> None:
    for name in (f"owner#{NAME}", f"#{NAME}", f"{NAME}#IDEMPOTENCY"):
        code, answer = service.post(body=OTHER, by=STRANGER, idempotency_key=name)
        assert (code, str(answer["job_id"]) != jobs.job) == (201, True)


def test_another_clients_cursor_returns_no_rows_of_that_client(service: Service, jobs: Jobs) -> None:
    url = "http://127.0.0.1:9/mine.jpg"
    own = f"/api/jobs/{service.submit(url, url, by=STRANGER)}/results"

    # A cursor is a position: only two numbers.
    assert re.fullmatch(r"[0-9]+\.[0-9]+", jobs.cursor)
    code, page = service.get(own, by=STRANGER, cursor=jobs.cursor)
    assert code == 200
    assert [row["url"] for row in page["results"]] == [url]
    # Beyond the job's end there are no rows, whatever other jobs have there.
    assert service.get(own, by=STRANGER, cursor="7.0") == (200, {"results": [], "next_cursor": None})


def test_a_malformed_cursor_is_a_400_that_names_it(service: Service, jobs: Jobs) -> None:
    wrong = [
        "", "0", "0.", ".0", "a.b", "0.0.0", "-1.0", "owner#1.0", "1e3.0", "٣.٠", "0.0 ", "9" * 30 + ".0", "\x00.0",
    ]  # fmt: skip
    for cursor in wrong:
        code, answer = service.get(f"/api/jobs/{jobs.job}/results", by=OWNER, cursor=cursor)
        assert (code, "cursor" in answer["detail"]) == (400, True), cursor
