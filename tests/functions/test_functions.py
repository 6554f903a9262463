"""The handlers: GIVEN a recorded event, WHEN the handler is called, THEN this is what it returns to AWS."""

import base64
import json
import logging
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from botocore.client import BaseClient

from local.images.pictures import Format, make_image
from local.images.server import ImageServer
from local.lambda_host.context import Context
from local.lambda_host.events import api_event, event
from retail_pulse.api import schemas
from retail_pulse.api.router import STORAGE_UNAVAILABLE
from retail_pulse.domain.errors import StorageUnavailableError
from retail_pulse.storage.errors import ThrottledError
from retail_pulse.storage.jobs_table import JobsTable
from tests.support.queue import messages

Load = Callable[[str], ModuleType]


def call(module: ModuleType, sent: dict[str, Any], context: Context) -> tuple[int, Any]:
    answer = module.handler(sent, context)
    return answer["statusCode"], json.loads(answer["body"])


def get(path: str, context: Context, status: ModuleType, **query: str) -> tuple[int, Any]:
    return call(status, api_event("GET", path, query=query), context)


def test_a_job_passes_through_all_functions_and_is_measured(load: Load, environment: str, context: Context) -> None:
    submit, process, status = load("submit"), load("process"), load("status")
    with ImageServer() as server:
        server.add("/a.png", make_image(Format.PNG, 64, 48))
        visit = {"store_id": "S00339218", "image_url": [server.url("/a.png")], "visit_time": "now"}
        code, answer = call(submit, event("submit") | {"body": json.dumps({"count": 1, "visits": [visit]})}, context)
        assert code == 201
        job_id = schemas.Submitted.model_validate(answer).job_id
        assert get("/api/status", context, status, jobid=str(job_id)) == (
            200,
            {"status": "ongoing", "job_id": str(job_id)},
        )
        assert process.handler(messages(environment), context) == {"batchItemFailures": []}
    assert get("/api/status/", context, status, jobid=str(job_id)) == (
        200,
        {"status": "completed", "job_id": str(job_id)},
    )
    _, answer = get(f"/api/jobs/{job_id}/results", context, status)
    (row,) = schemas.ResultList.model_validate(answer).results
    assert (row.outcome, row.width, row.height, row.perimeter, row.format) == ("measured", 64, 48, 224, "PNG")
    _, answer = get(f"/api/jobs/{job_id}", context, status)
    assert schemas.JobDetails.model_validate(answer).images.measured == 1


@pytest.mark.parametrize("images", [2, 5_000])
def test_a_status_costs_one_read_whatever_the_size_of_the_job(
    load: Load, context: Context, monkeypatch: pytest.MonkeyPatch, images: int
) -> None:
    urls = ["http://127.0.0.1:9/a.png", "http://127.0.0.1:9/b.png"]
    visits = [{"store_id": "S00339218", "image_url": urls, "visit_time": "now"}] * (images // 2)
    sent = event("submit") | {"body": json.dumps({"count": len(visits), "visits": visits})}
    job_id = call(load("submit"), sent, context)[1]["job_id"]
    status = load("status")
    calls = []
    original = BaseClient._make_api_call  # type: ignore[attr-defined]

    def spy(client: BaseClient, operation: str, request: dict[str, Any]) -> Any:
        calls.append(operation)
        return original(client, operation, request)

    monkeypatch.setattr(BaseClient, "_make_api_call", spy)
    assert get("/api/status", context, status, jobid=str(job_id))[1]["status"] == "ongoing"
    assert calls == ["GetItem"]


def test_a_failed_job_names_only_the_stores_that_failed(load: Load, environment: str, context: Context) -> None:
    submit, process, status = load("submit"), load("process"), load("status")
    _, answer = call(submit, event("submit"), context)
    process.handler(messages(environment), context)
    code, answer = get("/api/status", context, status, jobid=str(answer["job_id"]))
    (failed,) = schemas.Status.model_validate(answer).error or []
    assert (code, answer["status"], failed.store_id) == (200, "failed", "S00339218")
    assert failed.error.startswith("connect_failed: ")


@pytest.mark.parametrize("path", ["/api/submit", "/api/submit/"])
def test_a_wrong_body_is_a_400_with_and_without_a_trailing_slash(load: Load, context: Context, path: str) -> None:
    sent = event("submit") | {"body": '{"count":1,"visits":[{"store_id":"S"}]}', "rawPath": path}
    assert call(load("submit"), sent, context) == (400, {"error": "visits[0].image_url is missing"})


def test_a_missing_body_is_a_400(load: Load, context: Context) -> None:
    sent = event("submit")
    del sent["body"]
    assert call(load("submit"), sent, context)[0] == 400


def test_a_base64_body_is_read(load: Load, context: Context) -> None:
    sent = event("submit")
    sent |= {"body": base64.b64encode(sent["body"].encode()).decode(), "isBase64Encoded": True}
    assert call(load("submit"), sent, context)[0] == 201


def test_a_key_without_the_scope_is_a_403(load: Load, context: Context) -> None:
    sent = event("submit")
    sent["requestContext"]["authorizer"]["lambda"]["scopes"] = "read"
    assert call(load("submit"), sent, context) == (403, {"error": "API key lacks the scope submit"})


@pytest.mark.parametrize("kind", [StorageUnavailableError, ThrottledError])
@pytest.mark.parametrize(("function", "method"), [("submit", "put_chunks"), ("status", "job")])
def test_unavailable_storage_is_a_503_whose_reason_is_only_in_the_log(
    kind: type[StorageUnavailableError],
    function: str,
    method: str,
    load: Load,
    context: Context,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(*_: object) -> None:
        raise kind("DynamoDB: AccessDeniedException")

    monkeypatch.setattr(JobsTable, method, refuse)
    module = load(function)
    # In a function, the package's log lines do not reach the root logger, which caplog listens to.
    logger = logging.getLogger("retail_pulse.api.router")
    logger.addHandler(caplog.handler)
    try:
        code, answer = call(module, event(function), context)
    finally:
        logger.removeHandler(caplog.handler)
    assert (code, answer.get("error", answer.get("detail"))) == (503, STORAGE_UNAVAILABLE)
    (record,) = [each for each in caplog.records if each.levelname == "WARNING"]
    assert record.__dict__["reason"] == "DynamoDB: AccessDeniedException"
    assert record.__dict__["request"] == event(function)["requestContext"]["requestId"]


def test_an_unexpected_error_is_a_500_that_reveals_nothing(
    load: Load, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(JobsTable, "put_chunks", fail)
    assert call(load("submit"), event("submit"), context) == (500, {"error": "internal server error"})


@pytest.mark.parametrize(
    "query", [{}, {"jobid": ""}, {"jobid": "x"}, {"jobid": "1"}, {"jobid": "-1"}, {"jobid": "9" * 30}, {"jobid": "٣"}]
)
def test_the_status_of_an_unknown_job_is_400_and_empty(load: Load, context: Context, query: dict[str, str]) -> None:
    assert get("/api/status", context, load("status"), **query) == (400, {})


@pytest.mark.parametrize(
    ("path", "query", "code"),
    [
        ("/api/jobs/1", {}, 404),
        ("/api/jobs/x", {}, 404),
        ("/api/jobs/1/results", {}, 404),
        ("/api/jobs/1/results", {"limit": "0"}, 400),
        ("/api/jobs/1/results", {"limit": "1001"}, 400),
        ("/api/jobs/1/results", {"limit": "many"}, 400),
        ("/api/jobs/1/results", {"cursor": "x"}, 400),
        ("/api/nothing", {}, 404),
    ],
)
def test_refusals_outside_the_contract_are_problem_documents(
    load: Load, context: Context, path: str, query: dict[str, str], code: int
) -> None:
    found, answer = get(path, context, load("status"), **query)
    assert found == code == schemas.Problem.model_validate(answer).status


def test_health_needs_no_client(load: Load, context: Context) -> None:
    sent = event("status") | {"rawPath": "/api/health"}
    del sent["requestContext"]["authorizer"]
    assert call(load("status"), sent, context) == (200, {"status": "ok"})


def test_the_description_is_served_as_json_and_as_a_page(load: Load, context: Context) -> None:
    status = load("status")
    code, answer = get("/openapi.json", context, status)
    assert (code, answer["openapi"]) == (200, "3.1.0")
    page = status.handler(event("status") | {"rawPath": "/docs"}, context)
    assert page["headers"]["Content-Type"] == "text/html"
    # Its route is throttled to one request per second.
    assert page["headers"]["Cache-Control"] == "public, max-age=3600"
    assert "Submit a job" in page["body"]


def test_a_message_that_is_not_a_pointer_is_left_to_the_redrive_policy(load: Load, context: Context) -> None:
    sent = event("process")
    failures = [{"itemIdentifier": sent["Records"][0]["messageId"]}]
    assert load("process").handler(sent, context) == {"batchItemFailures": failures}


def test_no_image_is_started_when_little_time_is_left(load: Load, environment: str, context: Context) -> None:
    _, answer = call(load("submit"), event("submit"), context)
    assert load("process").handler(messages(environment), Context(seconds=5)) == {"batchItemFailures": []}
    assert get("/api/status", context, load("status"), jobid=str(answer["job_id"]))[1]["status"] == "ongoing"
    assert len(messages(environment)["Records"]) == 1
