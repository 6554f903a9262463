"""The handlers: GIVEN a recorded event, WHEN the handler is called, THEN this is what it returns to AWS."""

import base64
import errno
from typing import Any
from unittest.mock import Mock

import pytest
from botocore.client import BaseClient

from local.client import submission
from local.images.pictures import Format, make_image
from local.images.server import ImageServer
from local.lambda_host.context import Context
from local.lambda_host.events import event
from retail_pulse.api import schemas
from retail_pulse.api.router import STORAGE_UNAVAILABLE
from retail_pulse.domain.errors import StorageUnavailableError
from retail_pulse.measuring.download.connections import Connector
from retail_pulse.storage.errors import ThrottledError
from retail_pulse.storage.jobs_table import JobsTable
from tests.functions.service import STORE, Service


def test_a_job_passes_through_all_functions_and_is_measured(service: Service) -> None:
    with ImageServer() as server:
        job_id = service.submit(server.add("/a.png", make_image(Format.PNG, 64, 48)))
        ongoing, completed = ({"status": status, "job_id": str(job_id)} for status in ("ongoing", "completed"))
        assert service.get("/api/status", jobid=job_id) == (200, ongoing)
        assert service.deliver() == 1
    assert service.get("/api/status/", jobid=job_id) == (200, completed)
    (row,) = schemas.ResultList.model_validate(service.get(f"/api/jobs/{job_id}/results")[1]).results
    assert (row.outcome, row.width, row.height, row.perimeter, row.format) == ("measured", 64, 48, 224, "PNG")
    assert schemas.JobDetails.model_validate(service.get(f"/api/jobs/{job_id}")[1]).images.measured == 1


def test_a_failed_row_has_its_attempts_and_a_pending_one_has_had_none(service: Service) -> None:
    job_id = service.submit("http://127.0.0.1:9/a.png")
    found = []
    for _ in range(2):
        (row,) = schemas.ResultList.model_validate(service.get(f"/api/jobs/{job_id}/results")[1]).results
        found.append((row.outcome, row.attempts, row.last_error, row.next_attempt_at))
        service.deliver()
    assert found == [("pending", 0, None, None), ("failed", 1, None, None)]


def test_an_image_without_a_descriptor_has_had_no_attempt(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    # An ordinary failure would be final: PARAMETERS allow one attempt. What waits is requeued.
    monkeypatch.setenv("INLINE_WAIT_SECONDS", "0")
    job_id = service.submit("http://127.0.0.1:9/a.png")
    refusal = OSError(errno.EMFILE, "Too many open files")
    monkeypatch.setattr(Connector, "_connect", Mock(side_effect=refusal))
    service.deliver()
    (row,) = schemas.ResultList.model_validate(service.get(f"/api/jobs/{job_id}/results")[1]).results
    assert row.last_error is not None
    assert (row.outcome, row.attempts, row.last_error.code) == ("pending", 0, "processing_error")


@pytest.mark.parametrize(("check", "found"), [("off", None), ("all", "damaged")])
def test_damaged_pixels_count_if_they_are_checked(
    service: Service, monkeypatch: pytest.MonkeyPatch, check: str, found: str | None
) -> None:
    monkeypatch.setenv("PIXEL_CHECK", check)
    content = bytearray(make_image(Format.PNG, 64, 48))
    content[len(content) // 2] ^= 1
    with ImageServer() as server:
        job_id = service.submit(server.add("/a.png", bytes(content)))
        service.deliver()
    (row,) = schemas.ResultList.model_validate(service.get(f"/api/jobs/{job_id}/results")[1]).results
    assert (row.error and row.error.code) == found
    if pixels := service.load("process").fetcher._pixels:
        pixels.close()


@pytest.mark.parametrize("images", [2, 5_000])
def test_a_status_costs_one_read_whatever_the_size_of_the_job(
    service: Service, monkeypatch: pytest.MonkeyPatch, images: int
) -> None:
    visit = STORE, ["http://127.0.0.1:9/a.png", "http://127.0.0.1:9/b.png"]
    job_id = service.post(body=submission(*[visit] * (images // 2)))[1]["job_id"]
    service.load("status")
    calls = []
    original = BaseClient._make_api_call  # type: ignore[attr-defined]

    def spy(client: BaseClient, operation: str, request: dict[str, Any]) -> Any:
        calls.append(operation)
        return original(client, operation, request)

    monkeypatch.setattr(BaseClient, "_make_api_call", spy)
    assert service.get("/api/status", jobid=job_id)[1]["status"] == "ongoing"
    assert calls == ["GetItem"]


def test_a_failed_job_names_only_the_stores_that_failed(service: Service) -> None:
    job_id = service.call("submit", event("submit"))[1]["job_id"]
    service.deliver()
    code, answer = service.get("/api/status", jobid=job_id)
    (failed,) = schemas.StatusAnswer.model_validate(answer).error or []
    assert (code, answer["status"], failed.store_id) == (200, "failed", STORE)
    assert failed.error.startswith("connect_failed: ")


@pytest.mark.parametrize("path", ["/api/submit", "/api/submit/"])
def test_a_wrong_body_is_a_400_with_and_without_a_trailing_slash(service: Service, path: str) -> None:
    body = '{"count":1,"visits":[{"store_id":"S"}]}'
    errors = [{"place": f"visits[0].{field}", "rule": "is missing"} for field in ("image_url", "visit_time")]
    refusal = {"error": "visits[0].image_url is missing", "code": "invalid_request", "errors": errors}
    assert service.post(path, body) == (400, refusal)


def test_a_missing_body_is_a_400(service: Service) -> None:
    sent = event("submit")
    del sent["body"]
    assert service.call("submit", sent)[0] == 400


def test_a_base64_body_is_read(service: Service) -> None:
    sent = event("submit")
    sent |= {"body": base64.b64encode(sent["body"].encode()).decode(), "isBase64Encoded": True}
    assert service.call("submit", sent)[0] == 201


def test_a_key_without_the_scope_is_a_403(service: Service) -> None:
    refusal = {"error": "API key lacks the scope submit", "code": "missing_scope"}
    assert service.post(by={"scopes": "read"}) == (403, refusal)


@pytest.mark.parametrize("kind", [StorageUnavailableError, ThrottledError])
@pytest.mark.parametrize(("function", "method"), [("submit", "put_chunks"), ("status", "job")])
def test_unavailable_storage_is_a_503_whose_reason_is_only_in_the_log(
    service: Service,
    monkeypatch: pytest.MonkeyPatch,
    api_log: pytest.LogCaptureFixture,
    kind: type[StorageUnavailableError],
    function: str,
    method: str,
) -> None:
    def refuse(*_: object) -> None:
        raise kind("DynamoDB: AccessDeniedException")

    monkeypatch.setattr(JobsTable, method, refuse)
    code, answer = service.call(function, event(function))
    assert (code, answer.get("error", answer.get("detail"))) == (503, STORAGE_UNAVAILABLE)
    (record,) = [vars(each) for each in api_log.records if each.levelname == "WARNING"]
    assert record["reason"] == "DynamoDB: AccessDeniedException"
    assert record["request"] == event(function)["requestContext"]["requestId"]


def test_an_unexpected_error_is_a_500_that_reveals_nothing(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(JobsTable, "put_chunks", fail)
    refusal = {"error": "internal server error", "code": "internal_error"}
    assert service.call("submit", event("submit")) == (500, refusal)


@pytest.mark.parametrize(
    "query", [{}, {"jobid": ""}, {"jobid": "x"}, {"jobid": "1"}, {"jobid": "-1"}, {"jobid": "9" * 30}, {"jobid": "٣"}]
)
def test_the_status_of_an_unknown_job_is_400_and_empty(service: Service, query: dict[str, Any]) -> None:
    assert service.get("/api/status", **query) == (400, {})


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
    service: Service, path: str, query: dict[str, Any], code: int
) -> None:
    found, answer = service.get(path, **query)
    assert found == code == schemas.Problem.model_validate(answer).status


def test_health_needs_no_client(service: Service) -> None:
    sent = event("status") | {"rawPath": "/api/health", "rawQueryString": "", "queryStringParameters": {}}
    del sent["requestContext"]["authorizer"]
    assert service.call("status", sent) == (200, {"status": "ok"})


def test_the_description_is_served_as_json_and_as_a_page(service: Service) -> None:
    code, answer = service.get("/openapi.json")
    assert (code, answer["openapi"]) == (200, "3.1.0")
    page = service.load("status").handler(event("status") | {"rawPath": "/docs"}, Context())
    assert page["headers"]["Content-Type"] == "text/html"
    # Its route is throttled to one request per second.
    assert page["headers"]["Cache-Control"] == "public, max-age=3600"
    assert "Submit a job" in page["body"]


def test_a_message_that_is_not_a_pointer_is_left_to_the_redrive_policy(service: Service) -> None:
    sent = event("process")
    failures = [{"itemIdentifier": sent["Records"][0]["messageId"]}]
    assert service.load("process").handler(sent, Context()) == {"batchItemFailures": failures}


def test_no_image_is_started_when_little_time_is_left(service: Service) -> None:
    job_id = service.call("submit", event("submit"))[1]["job_id"]
    handler = service.load("process").handler
    assert handler(service.messages(), Context(seconds=5)) == {"batchItemFailures": []}
    assert service.get("/api/status", jobid=job_id)[1]["status"] == "ongoing"
    assert len(service.messages()["Records"]) == 1


def test_the_messages_of_a_worker_that_dies_come_back_soon_after_its_end(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = service.load("process")
    hidden: list[dict[str, int]] = []
    monkeypatch.setattr(process.queue, "hide", hidden.append)
    service.call("submit", event("submit"))
    sent = service.messages()
    process.handler(sent, Context(seconds=120))
    (seconds,) = hidden[0].values()
    assert hidden[0].keys() == {sent["Records"][0]["receiptHandle"]}
    # Longer than this worker lives, and shorter than three minutes.
    assert 120 + 10 <= seconds < 180
    assert hidden[1:] == [{}]


@pytest.mark.parametrize(("receives", "seconds"), [(1, 5), (2, 10), (4, 40), (6, 150), (50, 150)])
def test_a_message_that_is_given_back_comes_again_later_each_time(
    service: Service, monkeypatch: pytest.MonkeyPatch, receives: int, seconds: int
) -> None:
    process = service.load("process")
    hidden: list[dict[str, int]] = []
    monkeypatch.setattr(process.queue, "hide", hidden.append)
    sent = event("process")  # not a pointer
    sent["Records"][0]["attributes"]["ApproximateReceiveCount"] = str(receives)
    process.handler(sent, Context())
    assert hidden[1] == {sent["Records"][0]["receiptHandle"]: seconds}
