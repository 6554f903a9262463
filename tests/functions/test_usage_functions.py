"""Usage, daily limits and the spacing of retries: what the handlers answer, with headers."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from local.client import submission
from local.lambda_host.context import Context
from local.lambda_host.events import Event, api_event
from local.lambda_host.table import TABLE
from retail_pulse.api import schemas
from retail_pulse.domain.jobs import ClientRetryPolicy
from retail_pulse.domain.usage import DayUsage
from retail_pulse.storage.errors import ThrottledError
from retail_pulse.storage.usage_table import UsageTable
from tests.functions.service import STORE, Service
from tests.support.description import DESCRIPTION

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ACME = {"client": "acme", "daily_images": "1000"}
PATHS = DESCRIPTION["paths"]
EXAMPLES = {
    "usage": PATHS["/api/usage"]["get"]["responses"]["200"]["content"]["application/json"]["example"],
    "limit": PATHS["/api/submit"]["post"]["responses"]["429"]["content"]["application/json"]["examples"]["limit"][
        "value"
    ],
}


@pytest.fixture(autouse=True)
def _clock(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    for function in ("submit", "status"):
        monkeypatch.setattr(service.load(function).usage, "_now", lambda: NOW)


@pytest.fixture
def table(_clock: None) -> UsageTable:
    """The usage of the description's example."""
    table = UsageTable(boto3.client("dynamodb"), TABLE)
    for ago, images, requests in ((0, 950, 20), (1, 1000, 64), (3, 12, 3)):
        table.add_usage("acme", NOW - timedelta(days=ago), images, requests)
    table.add_usage("other", NOW, 7, 1)
    return table


def answer(service: Service, function: str, sent: Event, by: dict[str, str]) -> Any:
    """Return the whole response of a handler."""
    sent["requestContext"]["authorizer"]["lambda"] |= by
    return service.load(function).handler(sent, Context())


@pytest.mark.usefixtures("table")
def test_the_usage_is_that_of_the_example_in_the_description(service: Service) -> None:
    code, found = service.get("/api/usage", by=ACME)
    assert (code, found) == (200, EXAMPLES["usage"])
    schemas.Usage.model_validate(found)


@pytest.mark.usefixtures("table")
def test_a_key_without_a_limit_reads_the_same_usage_and_no_limit(service: Service) -> None:
    code, found = service.get("/api/usage", by={"client": "acme"})
    assert code == 200
    assert (found["today"]["images"], found["today"]["limit"], found["today"]["remaining"]) == (950, None, None)
    schemas.Usage.model_validate(found)


def test_images_and_requests_of_both_functions_are_counted(service: Service) -> None:
    job = service.submit("http://127.0.0.1:9/a.png", "http://127.0.0.1:9/b.png")
    assert service.post(body="{}")[0] == 400
    for _ in range(3):
        service.get("/api/status", jobid=job)
    service.submit("http://127.0.0.1:9/a.png")
    today = service.get("/api/usage")[1]["today"]
    # Three of submit, of which its last submission wrote two, and four of status, this one included.
    assert (today["images"], today["requests"]) == (3, 7)


def test_a_submission_sent_again_with_its_key_counts_once(service: Service) -> None:
    for _ in range(3):
        assert service.post(idempotency_key="order-1")[0] == 201
    assert service.get("/api/usage")[1]["today"]["images"] == 1


def test_a_submission_beyond_the_daily_limit_is_a_429_that_says_when_it_resets(
    service: Service, table: UsageTable
) -> None:
    body = json.dumps(submission((STORE, [f"http://127.0.0.1:9/{number}.png" for number in range(100)])))
    refused = answer(service, "submit", api_event("POST", "/api/submit", body=body), ACME)
    assert refused["statusCode"] == 429
    headers = refused["headers"]
    assert (headers["Content-Type"], headers["Retry-After"]) == ("application/json", "43200")
    assert json.loads(refused["body"]) == EXAMPLES["limit"]
    assert table.usage("acme", NOW.date(), NOW.date()) == [DayUsage(NOW.date(), 950, 20)]
    # A smaller job still fits, and another key of the client may have no limit.
    small = json.dumps(submission((STORE, ["http://127.0.0.1:9/a.png"] * 50)))
    assert answer(service, "submit", api_event("POST", "/api/submit", body=small), ACME)["statusCode"] == 201
    assert service.post(body=body, by={"client": "acme"})[0] == 201


def test_a_submission_whose_images_cannot_be_counted_is_a_503_and_stores_nothing(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise ThrottledError("DynamoDB: ThrottlingException")

    monkeypatch.setattr(UsageTable, "add_usage", refuse)
    assert service.post()[0] == 503
    assert boto3.client("dynamodb").scan(TableName=TABLE)["Count"] == 0
    # Reading does not depend on the count of its requests.
    assert [service.get("/api/status", jobid=1)[0] for _ in range(60)] == [400] * 60


def test_a_second_retry_within_a_minute_is_a_429_that_says_how_long_to_wait(service: Service) -> None:
    path = f"/api/jobs/{service.submit('no-url')}/retry"
    service.deliver()
    assert service.post(path)[0] == 202
    service.deliver()
    refused = answer(service, "submit", api_event("POST", path), {})
    problem = schemas.Problem.model_validate(json.loads(refused["body"]))
    assert (refused["statusCode"], problem.status, problem.title) == (429, 429, "Retried too soon")
    assert refused["headers"]["Content-Type"] == "application/problem+json"
    wait = int(refused["headers"]["Retry-After"])
    assert 1 <= wait <= 60
    assert problem.detail.endswith(f"may be retried every 60 s; retry it again in {wait} s")


def test_the_eleventh_retry_is_a_409(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    submit = service.load("submit")
    monkeypatch.setattr(submit, "retrying", replace(submit.retrying, policy=ClientRetryPolicy(min_seconds=0)))
    path = f"/api/jobs/{service.submit('no-url')}/retry"
    service.deliver()
    codes = []
    for _ in range(11):
        code, found = service.post(path)
        codes.append(code)
        service.deliver()
    assert codes == [202] * 10 + [409]
    assert found["detail"].endswith("was retried 10 times; the limit is 10")
