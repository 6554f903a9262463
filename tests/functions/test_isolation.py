"""Clients are isolated: every route is called with another client's IDs, cursors and idempotency keys.

The routes are those of docs/openapi.json; a new one without a test here fails.
"""

import json
import re
from collections.abc import Callable
from types import ModuleType
from typing import Any

import boto3
import pytest

from local.checkout import ROOT
from local.lambda_host.context import Context
from local.lambda_host.events import api_event
from local.lambda_host.table import TABLE

Load = Callable[[str], ModuleType]
Answer = tuple[int, Any]

OWNER, STRANGER = "owner", "stranger"
NAME = "order-1"
DESCRIPTION = json.loads((ROOT / "docs" / "openapi.json").read_text(encoding="utf-8"))
# A valid ID without a job.
UNUSED = "9007199254740991"


class Clients:
    """Calls the handlers as API Gateway does, as one client or another; one of them owns a job."""

    def __init__(self, load: Load, context: Context) -> None:
        self._functions = {"GET": load("status"), "POST": load("submit")}
        self._context = context
        code, answer = self.call(OWNER, "POST", "/api/submit", body=body("http://127.0.0.1:9/a.jpg"), name=NAME)
        assert code == 201
        self.job = str(answer["job_id"])
        code, page = self.call(OWNER, "GET", f"/api/jobs/{self.job}/results", limit="1")
        assert code == 200
        self.cursor = page["next_cursor"]
        assert self.cursor

    def call(
        self, client: str, method: str, path: str, body: str = "", name: str | None = None, **query: str
    ) -> Answer:
        sent = api_event(method, path, body=body, headers={"idempotency-key": name} if name else {}, query=query)
        sent["requestContext"]["authorizer"]["lambda"] = {
            "client": client,
            "key_id": f"{client}.0123456789ab",
            "scopes": "admin",
        }
        answer = self._functions[method].handler(sent, self._context)
        return answer["statusCode"], json.loads(answer["body"])


def body(*urls: str) -> str:
    visit = {"store_id": "S00339218", "image_url": [*urls, *urls], "visit_time": "now"}
    return json.dumps({"count": 1, "visits": [visit]})


def status(clients: Clients, job: str) -> Answer:
    return clients.call(STRANGER, "GET", "/api/status", jobid=job)


def details(clients: Clients, job: str) -> Answer:
    return clients.call(STRANGER, "GET", f"/api/jobs/{job}")


def results(clients: Clients, job: str) -> Answer:
    return clients.call(STRANGER, "GET", f"/api/jobs/{job}/results", cursor=clients.cursor)


def retry(clients: Clients, job: str) -> Answer:
    return clients.call(STRANGER, "POST", f"/api/jobs/{job}/retry")


# For each route with a job's ID: an attempt to reach another client's job with it.
BY_JOB: dict[str, Callable[[Clients, str], Answer]] = {
    "GET /api/status": status,
    "GET /api/jobs/{job_id}": details,
    "GET /api/jobs/{job_id}/results": results,
    "POST /api/jobs/{job_id}/retry": retry,
}
# Routes without a job's ID, each with its own test below.
OTHERS = {"POST /api/submit": "test_an_idempotency_key_belongs_to_its_client"}


def routes(*, with_key: bool) -> set[str]:
    """Return the described routes that need a key, or those that do not."""
    return {
        f"{method.upper()} {path}"
        for path, operations in DESCRIPTION["paths"].items()
        for method, operation in operations.items()
        if bool(operation.get("security", DESCRIPTION["security"])) is with_key
    }


@pytest.fixture
def clients(load: Load, context: Context) -> Clients:
    return Clients(load, context)


def items() -> list[dict[str, Any]]:
    found: Any = boto3.client("dynamodb").scan(TableName=TABLE)["Items"]
    return sorted(found, key=lambda item: str(item["pk"]))


def test_every_route_that_needs_a_key_is_called() -> None:
    assert routes(with_key=True) == {*BY_JOB, *OTHERS}
    assert all(name in globals() for name in OTHERS.values())


def test_routes_without_a_key_have_no_parameters() -> None:
    for route in routes(with_key=False):
        method, path = route.split()
        assert not DESCRIPTION["paths"][path][method.lower()].get("parameters")
        assert "{" not in path


@pytest.mark.parametrize("route", BY_JOB)
def test_another_clients_job_looks_like_a_job_that_does_not_exist(clients: Clients, route: str) -> None:
    before = items()
    code, answer = BY_JOB[route](clients, clients.job)

    # The response is the same as for an ID without a job, so it does not even reveal that the job exists.
    assert (code, answer) in ((400, {}), (404, answer))
    unknown = json.loads(json.dumps(BY_JOB[route](clients, UNUSED)).replace(UNUSED, clients.job))
    assert [code, answer] == unknown
    assert items() == before


@pytest.mark.parametrize("route", BY_JOB)
def test_no_spelling_of_an_id_reaches_another_clients_job(clients: Clients, route: str) -> None:
    job = clients.job
    tricks = [
        f"{OWNER}#{job}",
        f"{job}#JOB",
        f"{job}%23",
        f"+{job}",
        f"{job} ",
        f" {job}",
        f"{job}\x00",
        f"../{job}",
        "*",
    ]
    assert {BY_JOB[route](clients, trick)[0] for trick in [*tricks, f"0{job}", f"{job}.0"]} <= {400, 404}


def test_an_idempotency_key_belongs_to_its_client(clients: Clients) -> None:
    # GIVEN a submission with the idempotency key of another client's submission
    other_body = body("http://127.0.0.1:9/b.jpg")
    code, answer = clients.call(STRANGER, "POST", "/api/submit", body=other_body, name=NAME)

    # THEN the response reveals nothing of that submission, and names a new job
    assert code == 201
    job = str(answer["job_id"])
    assert clients.call(STRANGER, "GET", "/api/status", jobid=job)[0] == 200
    assert clients.call(OWNER, "GET", "/api/status", jobid=job) == (400, {})
    # AND the other client still gets its own job for that key
    again = clients.call(OWNER, "POST", "/api/submit", body=body("http://127.0.0.1:9/a.jpg"), name=NAME)
    assert again == (201, {"job_id": int(clients.job)})
    assert clients.call(OWNER, "POST", "/api/submit", body=other_body, name=NAME)[0] == 422


def test_no_idempotency_key_can_imitate_another_clients(clients: Clients) -> None:
    for name in (f"{OWNER}#{NAME}", f"#{NAME}", f"{NAME}#IDEMPOTENCY"):
        code, answer = clients.call(STRANGER, "POST", "/api/submit", body=body("http://127.0.0.1:9/b.jpg"), name=name)
        assert (code, str(answer["job_id"]) != clients.job) == (201, True)


def test_another_clients_cursor_returns_no_rows_of_that_client(clients: Clients) -> None:
    _, answer = clients.call(STRANGER, "POST", "/api/submit", body=body("http://127.0.0.1:9/mine.jpg"))
    own = f"/api/jobs/{answer['job_id']}/results"

    # A cursor is a position: only two numbers.
    assert re.fullmatch(r"[0-9]+\.[0-9]+", clients.cursor)
    code, page = clients.call(STRANGER, "GET", own, cursor=clients.cursor)
    assert code == 200
    assert [row["url"] for row in page["results"]] == ["http://127.0.0.1:9/mine.jpg"]
    # Beyond the job's end there are no rows, whatever other jobs have there.
    assert clients.call(STRANGER, "GET", own, cursor="7.0") == (200, {"results": [], "next_cursor": None})


def test_a_malformed_cursor_is_a_400_that_names_it(clients: Clients) -> None:
    wrong = [
        "",
        "0",
        "0.",
        ".0",
        "a.b",
        "0.0.0",
        "-1.0",
        f"{OWNER}#1.0",
        "1e3.0",
        "٣.٠",
        "0.0 ",
        "9" * 30 + ".0",
        "\x00.0",
    ]
    for cursor in wrong:
        code, answer = clients.call(OWNER, "GET", f"/api/jobs/{clients.job}/results", cursor=cursor)
        assert (code, "cursor" in answer["detail"]) == (400, True), cursor
