"""Idempotency keys, the retry route and the schedule: how the handlers respond to the events that AWS sends."""

from typing import Any

import boto3
import pytest

from local.client import submission
from local.images.pictures import Format, make_image
from local.images.server import ImageServer
from local.lambda_host.context import Context
from local.lambda_host.events import event
from local.lambda_host.table import TABLE
from retail_pulse.api import schemas
from retail_pulse.storage.jobs_table import JobsTable
from tests.functions.service import STORE, Answer, Service

OTHER_BODY = submission((STORE, ["http://127.0.0.1:9/2.png"]))
YOU = {"client": "you"}


def is_problem(found: Answer, status: int, text: str) -> bool:
    code, answer = found
    problem = schemas.Problem.model_validate(answer)
    return code == problem.status == status and text in f"{problem.title} {problem.detail}"


# ------------------------------------------------------------------ Idempotency-Key


def test_the_same_key_and_body_return_the_same_job_and_send_one_message(service: Service) -> None:
    first, second = (service.post(idempotency_key="order-1") for _ in range(2))
    assert first[0] == second[0] == 201
    assert first == second
    assert service.deliver() == 1
    assert service.post()[1] != first[1]


def test_the_same_key_with_another_body_is_a_422(service: Service) -> None:
    assert service.post(idempotency_key="order-1")[0] == 201
    code, answer = service.post(body=OTHER_BODY, idempotency_key="order-1")
    assert (code, list(answer)) == (422, ["error", "code"])
    assert "another body" in answer["error"]


def test_a_key_belongs_to_its_client(service: Service) -> None:
    mine = service.post(idempotency_key="order-1")
    yours = service.post(body=OTHER_BODY, by=YOU, idempotency_key="order-1")
    assert (mine[0], yours[0]) == (201, 201)
    assert mine[1] != yours[1]


@pytest.mark.parametrize("key", ["", "with space", "ä", "x" * 256])
def test_an_invalid_key_is_a_400_that_names_the_header(service: Service, key: str) -> None:
    error = {"place": "header Idempotency-Key", "rule": "must be 1 to 255 visible ASCII characters"}
    refusal = {"error": " ".join(error.values()), "code": "invalid_request", "errors": [error]}
    assert service.post(idempotency_key=key) == (400, refusal)


def test_a_wrong_body_does_not_use_up_its_key(service: Service) -> None:
    assert service.post(body="{}", idempotency_key="order-1")[0] == 400
    assert service.post(idempotency_key="order-1")[0] == 201


# ------------------------------------------------------------------ POST /api/jobs/{job_id}/retry


def test_a_retry_measures_only_failed_images(service: Service) -> None:
    with ImageServer() as server:
        server.add("/good.png", make_image(Format.PNG, 64, 48))
        job_id = service.submit(server.url("/good.png"), server.url("/late.png"))
        path = f"/api/jobs/{job_id}/retry"
        assert is_problem(service.post(path), 409, "has not ended")
        service.deliver()
        server.add("/late.png", make_image(Format.PNG, 10, 20))
        code, answer = service.post(path)
        assert code == 202
        assert (answer["job_id"], answer["run"]) == (str(job_id), 2)
        schemas.Reopened.model_validate(answer)
        service.deliver()
        # Sorted, since the images of a chunk are downloaded concurrently.
        assert sorted(request.path for request in server.requests) == ["/good.png", "/late.png", "/late.png"]
    assert service.get("/api/status", jobid=job_id)[1]["status"] == "completed"
    assert is_problem(service.post(path), 409, "no failed image")


def test_only_its_client_can_retry_a_job_and_only_with_the_scope(service: Service) -> None:
    path = f"/api/jobs/{service.post()[1]['job_id']}/retry"
    service.deliver()
    assert is_problem(service.post(path, by=YOU), 404, "does not exist")
    assert is_problem(service.post(path, by={"scopes": "read"}), 403, "submit")
    assert service.post(path)[0] == 202


@pytest.mark.parametrize("job_id", ["1", "x", "-1", "9" * 30])
def test_a_retry_of_an_unknown_job_is_a_404(service: Service, job_id: str) -> None:
    assert is_problem(service.post(f"/api/jobs/{job_id}/retry"), 404, "")


# ------------------------------------------------------------------ the schedule


def make_due(job_id: int) -> None:
    """Make a job due since 1970."""
    table = JobsTable(boto3.client("dynamodb"), TABLE)
    job = table.job("me", job_id)
    assert job is not None
    table.mark_due(job, 0)


def sweep(service: Service, seconds: float = 120) -> Any:
    return service.load("reprocess").handler(event("reprocess"), Context(seconds=seconds))


def test_the_schedule_sends_lost_messages_again_and_the_job_ends(service: Service) -> None:
    job_id = service.post()[1]["job_id"]
    boto3.client("sqs").purge_queue(QueueUrl=service.queue_url)
    assert sweep(service)["swept"] == 0
    make_due(job_id)
    counts = sweep(service)
    assert (counts["swept"], counts["sent"], counts["unfinished"]) == (1, 1, False)
    assert service.deliver() == 1
    assert sweep(service)["swept"] == 0


def test_a_sweep_without_time_left_reports_that_it_is_unfinished(service: Service) -> None:
    make_due(service.post()[1]["job_id"])
    counts = sweep(service, seconds=10)
    assert (counts["swept"], counts["unfinished"]) == (0, True)


def test_the_receive_count_of_a_message_reaches_the_use_case(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.post()
    process = service.load("process")
    seen: list[int] = []
    original = process.processing.process

    def spy(deliveries: Any, *arguments: Any, **named: Any) -> Any:
        seen.extend(delivery.receives for delivery in deliveries)
        return original(deliveries, *arguments, **named)

    monkeypatch.setattr(process.processing, "process", spy)
    sent = service.messages()
    sent["Records"][0]["attributes"]["ApproximateReceiveCount"] = "4"
    process.handler(sent, Context())
    assert seen == [4]
