"""Retries over HTTP on the real template: of images, of jobs, of submissions, and by reprocess."""

import json
from collections import Counter
from typing import Any

from local.client import ApiClient, submission
from local.images.server import ImageServer, failing, ok, unavailable
from local.lambda_host.events import event
from local.stack.process import StackProcess
from retail_pulse.domain.times import utc_of
from retail_pulse.storage.jobs_table import JobsTable
from tests.support.loads import run_outage
from tests.support.waiting import END_SECONDS, wait_until

STORE = "S00339218"


def test_after_an_outage_every_image_is_measured_and_downloaded_once(stack: StackProcess) -> None:
    outage = run_outage(stack, seconds=3, jobs=2)
    assert outage.statuses == {"completed": 2}
    assert set(outage.up_requests) == set(outage.down_requests) == {1}


def test_a_busy_server_is_retried_when_it_asks_for_it(client: ApiClient, images: ImageServer, picture: bytes) -> None:
    url = images.script("/busy.jpg", unavailable(429, retry_after=1), unavailable(503), ok(picture, "image/jpeg"))
    job = client.submit((STORE, [url]))
    assert client.wait(job, END_SECONDS)["status"] == "completed"
    assert len(images.requests_of("/busy.jpg")) == 3


def test_a_pending_image_says_why_it_waits(client: ApiClient, images: ImageServer, picture: bytes) -> None:
    url = images.script("/waits.jpg", unavailable(503, retry_after=10), ok(picture, "image/jpeg"))
    job = client.submit((STORE, [url]))
    rows: list[dict[str, Any]] = []

    def was_tried() -> bool:
        rows[:] = client.results(job)
        return bool(rows[0]["attempts"] == 1)

    wait_until(was_tried, END_SECONDS)
    (row,) = rows
    assert (row["outcome"], row["error"], row["last_error"]["code"]) == ("pending", None, "http_status")
    assert "503" in row["last_error"]["message"]
    assert utc_of(row["next_attempt_at"])
    assert client.wait(job, END_SECONDS)["status"] == "completed"
    (row,) = client.results(job)
    assert (row["attempts"], row["last_error"], row["next_attempt_at"]) == (None, None, None)


def test_only_the_owner_of_a_failed_job_can_retry_it(
    client: ApiClient, other_client: ApiClient, images: ImageServer, picture: bytes
) -> None:
    good = images.add("/good.jpg", picture)
    gone = images.script("/gone.jpg", failing(404), ok(picture, "image/jpeg"))
    job = client.submit((STORE, [good, gone]))
    assert client.wait(job, END_SECONDS)["status"] == "failed"
    assert other_client.post(f"/api/jobs/{job}/retry").status_code == 404
    answer = client.post(f"/api/jobs/{job}/retry")
    assert (answer.status_code, answer.json()["run"]) == (202, 2)
    assert client.wait(job, END_SECONDS)["status"] == "completed"
    assert Counter(request.path for request in images.requests) == {"/good.jpg": 1, "/gone.jpg": 2}
    assert client.post(f"/api/jobs/{job}/retry").status_code == 409


def test_a_job_that_fails_again_cannot_be_retried_within_a_minute(client: ApiClient, images: ImageServer) -> None:
    job = client.submit((STORE, [images.script("/gone.jpg", failing(404), failing(404))]))
    assert client.wait(job, END_SECONDS)["status"] == "failed"
    assert client.post(f"/api/jobs/{job}/retry").status_code == 202
    assert client.wait(job, END_SECONDS)["status"] == "failed"
    answer = client.post(f"/api/jobs/{job}/retry")
    # A machine that took longer than a minute may retry it.
    assert answer.status_code == 202 or (answer.status_code, 0 < int(answer.headers["Retry-After"]) <= 60) == (
        429,
        True,
    )


def test_a_submission_sent_twice_is_one_job(client: ApiClient, images: ImageServer, picture: bytes) -> None:
    url = images.add("/once.jpg", picture)
    named = {"Idempotency-Key": "order-1"}
    first, second = (client.post("/api/submit", submission((STORE, [url])), headers=named) for _ in range(2))
    assert first.status_code == second.status_code == 201
    assert first.json() == second.json()
    other = client.post("/api/submit", submission((STORE, [url, url])), headers=named)
    assert other.status_code == 422
    client.wait(first.json()["job_id"], END_SECONDS)
    assert len(images.requests) == 1


def test_reprocess_sends_lost_messages_again(
    stack: StackProcess, client: ApiClient, images: ImageServer, picture: bytes
) -> None:
    # GIVEN a job whose message is delayed since its image server asked for a minute, and a queue that is then emptied
    url = images.script("/late.jpg", unavailable(503, retry_after=60), ok(picture, "image/jpeg"))
    job = client.submit((STORE, [url]))
    assert images.wait_for_requests(1, path="/late.jpg", timeout=END_SECONDS)
    wait_until(lambda: _delayed(stack) == 1, END_SECONDS)
    stack.client("sqs").purge_queue(QueueUrl=stack.queue_url)
    # AND the job has stalled, so that it is due
    table = JobsTable(stack.client("dynamodb"), stack.table_name)
    stored = table.job("local", job)
    assert stored is not None
    table.mark_due(stored, 0)
    # WHEN the schedule invokes reprocess
    lambdas = stack.client("lambda")
    (name,) = (f["FunctionName"] for f in lambdas.list_functions()["Functions"] if "Reprocess" in f["FunctionName"])
    answer = lambdas.invoke(FunctionName=name, Payload=json.dumps(event("reprocess")))
    # THEN the message is in the queue again, delayed until the image may be retried
    assert json.loads(answer["Payload"].read())["sent"] == 1
    wait_until(lambda: _delayed(stack) == 1, END_SECONDS)
    assert client.get("/api/status", jobid=job).json()["status"] == "ongoing"
    assert len(images.requests) == 1
    # Its retries would last longer than its image server, and other tests count messages.
    stack.client("sqs").purge_queue(QueueUrl=stack.queue_url)


def _delayed(stack: StackProcess) -> int:
    found = stack.client("sqs").get_queue_attributes(QueueUrl=stack.queue_url, AttributeNames=["All"])
    return int(found["Attributes"]["ApproximateNumberOfMessagesDelayed"])
