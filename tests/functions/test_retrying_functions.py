"""Idempotency keys, the retry route and the schedule: how the handlers respond to the events that AWS sends."""

import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import boto3
import pytest

from local.images.pictures import Format, make_image
from local.images.server import ImageServer
from local.lambda_host.context import Context
from local.lambda_host.events import api_event, event
from local.lambda_host.table import TABLE
from retail_pulse.api import schemas
from retail_pulse.storage.jobs_table import JobsTable
from tests.support.queue import deliver, messages

Load = Callable[[str], ModuleType]


def post(
    module: ModuleType,
    context: Context,
    path: str = "/api/submit",
    body: str | None = None,
    *,
    name: str | None = None,
    client: str = "me",
    scopes: str = "read submit",
) -> tuple[int, Any]:
    """Send a POST: by default the recorded submission."""
    headers = None if name is None else {"idempotency-key": name}
    sent = api_event("POST", path, body=event("submit")["body"] if body is None else body, headers=headers)
    sent["requestContext"]["authorizer"]["lambda"] = {
        "client": client,
        "key_id": f"{client}.0123456789ab",
        "scopes": scopes,
    }
    answer = module.handler(sent, context)
    return answer["statusCode"], json.loads(answer["body"])


def job_body(*urls: str) -> str:
    visit = {"store_id": "S00339218", "image_url": urls, "visit_time": "now"}
    return json.dumps({"count": 1, "visits": [visit]})


def is_problem(answer: Any, status: int, text: str) -> bool:
    problem = schemas.Problem.model_validate(answer)
    return problem.status == status and text in f"{problem.title} {problem.detail}"


# ------------------------------------------------------------------ Idempotency-Key


def test_the_same_key_and_body_return_the_same_job_and_send_one_message(
    load: Load, environment: str, context: Context
) -> None:
    submit = load("submit")
    first, second = post(submit, context, name="order-1"), post(submit, context, name="order-1")
    assert first[0] == second[0] == 201
    assert first == second
    assert deliver(load("process"), environment, context) == 1
    assert post(submit, context)[1] != first[1]


def test_the_same_key_with_another_body_is_a_422(load: Load, context: Context) -> None:
    submit = load("submit")
    assert post(submit, context, name="order-1")[0] == 201
    code, answer = post(submit, context, body=job_body("http://127.0.0.1:9/2.png"), name="order-1")
    assert (code, list(answer)) == (422, ["error"])
    assert "another body" in answer["error"]


def test_a_key_belongs_to_its_client(load: Load, context: Context) -> None:
    submit = load("submit")
    mine = post(submit, context, name="order-1")
    yours = post(submit, context, name="order-1", body=job_body("http://127.0.0.1:9/2.png"), client="you")
    assert (mine[0], yours[0]) == (201, 201)
    assert mine[1] != yours[1]


@pytest.mark.parametrize("key", ["", "with space", "ä", "x" * 256])
def test_an_invalid_key_is_a_400_that_names_the_header(load: Load, context: Context, key: str) -> None:
    code, answer = post(load("submit"), context, name=key)
    assert (code, answer) == (400, {"error": "header Idempotency-Key must be 1 to 255 visible ASCII characters"})


def test_a_wrong_body_does_not_use_up_its_key(load: Load, context: Context) -> None:
    submit = load("submit")
    assert post(submit, context, body="{}", name="order-1")[0] == 400
    assert post(submit, context, name="order-1")[0] == 201


# ------------------------------------------------------------------ POST /api/jobs/{job_id}/retry


def test_a_retry_measures_only_failed_images(load: Load, environment: str, context: Context) -> None:
    submit, process, status = load("submit"), load("process"), load("status")
    with ImageServer() as server:
        server.add("/good.png", make_image(Format.PNG, 64, 48))
        body = job_body(server.url("/good.png"), server.url("/late.png"))
        job_id = post(submit, context, body=body)[1]["job_id"]
        path = f"/api/jobs/{job_id}/retry"
        code, answer = post(submit, context, path)
        assert code == 409
        assert is_problem(answer, 409, "has not ended")
        deliver(process, environment, context)
        server.add("/late.png", make_image(Format.PNG, 10, 20))
        code, answer = post(submit, context, path)
        assert code == 202
        assert (answer["job_id"], answer["run"]) == (str(job_id), 2)
        schemas.Reopened.model_validate(answer)
        deliver(process, environment, context)
        # Sorted, since the images of a chunk are downloaded concurrently.
        assert sorted(request.path for request in server.requests) == ["/good.png", "/late.png", "/late.png"]
    sent = api_event("GET", "/api/status", query={"jobid": str(job_id)})
    assert json.loads(status.handler(sent, context)["body"])["status"] == "completed"
    code, answer = post(submit, context, path)
    assert code == 409
    assert is_problem(answer, 409, "no failed image")


def test_only_its_client_can_retry_a_job_and_only_with_the_scope(
    load: Load, environment: str, context: Context
) -> None:
    submit = load("submit")
    job_id = post(submit, context)[1]["job_id"]
    deliver(load("process"), environment, context)
    path = f"/api/jobs/{job_id}/retry"
    code, answer = post(submit, context, path, client="you")
    assert (code, is_problem(answer, 404, "does not exist")) == (404, True)
    code, answer = post(submit, context, path, scopes="read")
    assert (code, is_problem(answer, 403, "submit")) == (403, True)
    assert post(submit, context, path)[0] == 202


@pytest.mark.parametrize("job_id", ["1", "x", "-1", "9" * 30])
def test_a_retry_of_an_unknown_job_is_a_404(load: Load, context: Context, job_id: str) -> None:
    code, answer = post(load("submit"), context, f"/api/jobs/{job_id}/retry")
    assert (code, is_problem(answer, 404, "")) == (404, True)


# ------------------------------------------------------------------ the schedule


def make_due(job_id: int) -> None:
    """Make a job due since 1970."""
    table = JobsTable(boto3.client("dynamodb"), TABLE)
    job = table.job("me", job_id)
    assert job is not None
    table.mark_due(job, 0)


def test_the_schedule_sends_lost_messages_again_and_the_job_ends(
    load: Load, environment: str, context: Context
) -> None:
    submit, process, reprocess = load("submit"), load("process"), load("reprocess")
    job_id = post(submit, context)[1]["job_id"]
    boto3.client("sqs").purge_queue(QueueUrl=environment)
    assert reprocess.handler(event("reprocess"), context)["swept"] == 0
    make_due(job_id)
    counts = reprocess.handler(event("reprocess"), context)
    assert (counts["swept"], counts["sent"], counts["unfinished"]) == (1, 1, False)
    assert deliver(process, environment, context) == 1
    assert reprocess.handler(event("reprocess"), context)["swept"] == 0


def test_a_sweep_without_time_left_reports_that_it_is_unfinished(load: Load, context: Context) -> None:
    make_due(post(load("submit"), context)[1]["job_id"])
    counts = load("reprocess").handler(event("reprocess"), Context(seconds=10))
    assert (counts["swept"], counts["unfinished"]) == (0, True)


def test_the_receive_count_of_a_message_reaches_the_use_case(
    load: Load, environment: str, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    post(load("submit"), context)
    process = load("process")
    seen: list[int] = []
    original = process.processing.process

    def spy(deliveries: Any, *arguments: Any, **named: Any) -> Any:
        seen.extend(delivery.receives for delivery in deliveries)
        return original(deliveries, *arguments, **named)

    monkeypatch.setattr(process.processing, "process", spy)
    sent = messages(environment)
    sent["Records"][0]["attributes"]["ApproximateReceiveCount"] = "4"
    process.handler(sent, context)
    assert seen == [4]
