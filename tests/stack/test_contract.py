"""The published contract over HTTP, on the real template."""

import json
import threading
from typing import Any

import pytest

from local.client import ApiClient, submission
from local.images.server import ImageServer, held
from local.stack.process import StackProcess
from retail_pulse.domain.chunks import Pointer, Scope
from retail_pulse.storage.queue import encode
from tests.support.waiting import END_SECONDS, wait_until

STORE, OTHER_STORE = "S00339218", "S01408764"
VISIT = {"store_id": STORE, "image_url": ["http://127.0.0.1/a.jpg"], "visit_time": "time of store visit"}


@pytest.mark.parametrize("path", ["/", "/api/health", "/openapi.json", "/docs", "/docs/errors"])
def test_some_routes_need_no_key(stack: StackProcess, path: str) -> None:
    with ApiClient(stack.url, None) as anonymous:
        assert anonymous.get(path).status_code == 200


@pytest.mark.parametrize("key", [None, "nobody-has-this-key"])
def test_every_other_route_needs_a_key(stack: StackProcess, key: str | None) -> None:
    with ApiClient(stack.url, key) as stranger:
        answers = [stranger.get(path) for path in ("/api/status", "/api/status/", "/api/jobs/1", "/api/jobs/1/results")]
        answers += [stranger.post(path, {}) for path in ("/api/submit", "/api/submit/")]

    # API Gateway's own texts, which an HTTP API cannot change.
    code, text = (401, "Unauthorized") if key is None else (403, "Forbidden")
    assert [(answer.status_code, answer.json()) for answer in answers] == [(code, {"message": text})] * 6


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_job_is_accepted_then_ongoing_and_then_completed(
    client: ApiClient, images: ImageServer, picture: bytes, slash: str
) -> None:
    # GIVEN a slow image
    goes_on = threading.Event()
    slow = images.script("/slow.jpg", held(picture, goes_on))
    url = images.add("/quick.jpg", picture)

    # WHEN the contract's example is submitted
    visits = [VISIT | {"image_url": [slow, url]}, VISIT | {"store_id": OTHER_STORE, "image_url": [url]}]
    accepted = client.post(f"/api/submit{slash}", {"count": 2, "visits": visits})
    assert accepted.status_code == 201
    assert list(accepted.json()) == ["job_id"]
    job = accepted.json()["job_id"]
    assert isinstance(job, int)
    assert 0 <= job < 2**53

    # THEN it is ongoing while that image is being downloaded
    assert images.wait_for_requests(1, path="/slow.jpg", timeout=END_SECONDS)
    ongoing = client.get(f"/api/status{slash}", jobid=job)
    assert (ongoing.status_code, ongoing.json()) == (200, {"status": "ongoing", "job_id": str(job)})

    # AND completed after that, with all measurements
    goes_on.set()
    assert client.wait(job, END_SECONDS) == {"status": "completed", "job_id": str(job)}
    rows = [(row["visit"], row["image"], row["perimeter"]) for row in client.results(job)]
    assert rows == [(0, 0, 420), (0, 1, 420), (1, 0, 420)]


def test_a_job_with_a_bad_image_fails_and_names_only_that_store(
    client: ApiClient, images: ImageServer, picture: bytes
) -> None:
    good, missing = images.add("/good.jpg", picture), images.url("/missing.jpg")
    text = images.add("/text.jpg", b"this is text")

    job = client.submit((STORE, [good, missing]), (OTHER_STORE, [good]), (STORE, [text]))
    status = client.wait(job, END_SECONDS)

    assert status.keys() == {"status", "job_id", "error"}
    assert (status["status"], status["job_id"]) == ("failed", str(job))
    (entry,) = status["error"]
    assert entry.keys() == {"store_id", "error"}
    assert entry["store_id"] == STORE
    assert missing in entry["error"]
    # The other images are measured anyway.
    codes = [row["error"] and row["error"]["code"] for row in client.results(job)]
    assert codes == [None, "http_status", None, "not_an_image"]


def test_a_job_of_an_unknown_store_is_accepted_and_fails(
    client: ApiClient, images: ImageServer, picture: bytes
) -> None:
    unknown, known = images.add("/unknown.jpg", picture), images.add("/known.jpg", picture)

    job = client.submit(("S99999999", [unknown]), (STORE, [known]))
    status = client.wait(job, END_SECONDS)

    assert [entry["store_id"] for entry in status["error"]] == ["S99999999"]
    assert not images.requests_of("/unknown.jpg")
    assert len(images.requests_of("/known.jpg")) == 1


def test_results_can_be_read_while_the_job_is_ongoing(client: ApiClient, images: ImageServer, picture: bytes) -> None:
    goes_on = threading.Event()
    job = client.submit((STORE, [images.script("/slow.jpg", held(picture, goes_on))]))
    assert images.wait_for_requests(1, timeout=END_SECONDS)

    rows = list(client.results(job))
    details = client.get(f"/api/jobs/{job}").json()

    assert [(row["outcome"], row["perimeter"], row["store_id"]) for row in rows] == [("pending", None, STORE)]
    assert details["images"] == {"total": 1, "measured": 0, "failed": 0, "pending": 1}
    goes_on.set()
    client.wait(job, END_SECONDS)


@pytest.mark.parametrize(
    "query", ["", "?jobid=", "?jobid=123", "?jobid=abc", "?jobid=-1", "?jobid=1.5", f"?jobid={2**60}"]
)
@pytest.mark.parametrize("slash", ["", "/"])
def test_the_status_of_an_unknown_job_is_400_and_empty(client: ApiClient, slash: str, query: str) -> None:
    answer = client.get(f"/api/status{slash}{query}")
    assert (answer.status_code, answer.json()) == (400, {})


def test_a_client_cannot_see_another_clients_job(
    client: ApiClient, other_client: ApiClient, images: ImageServer, picture: bytes
) -> None:
    job = client.submit((STORE, [images.add("/a.jpg", picture)]))
    assert client.wait(job, END_SECONDS)["status"] == "completed"

    stranger = other_client.get("/api/status", jobid=job)
    assert (stranger.status_code, stranger.json()) == (400, {})
    assert [other_client.get(f"/api/jobs/{job}{rest}").status_code for rest in ("", "/results")] == [404, 404]


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({}, "count"),
        ({"count": 1}, "visits"),
        ({"visits": [VISIT]}, "count"),
        ({"count": "1", "visits": [VISIT]}, "count"),
        ({"count": 2, "visits": [VISIT]}, "count"),
        ({"count": 0, "visits": []}, "visits"),
        ({"count": 2, "visits": [VISIT, {**VISIT, "store_id": ""}]}, "visits[1].store_id"),
        ({"count": 1, "visits": [{"image_url": ["a"], "visit_time": "b"}]}, "visits[0].store_id"),
        ({"count": 1, "visits": [{**VISIT, "visit_time": None}]}, "visits[0].visit_time"),
        ({"count": 1, "visits": [{**VISIT, "image_url": []}]}, "visits[0].image_url"),
        ({"count": 1, "visits": [{**VISIT, "image_url": "a"}]}, "visits[0].image_url"),
        ({"count": 1, "visits": [{**VISIT, "image_url": ["a", 5]}]}, "visits[0].image_url[1]"),
        ({"count": 1, "visits": [{**VISIT, "store_id": "ä" * 33}]}, "visits[0].store_id"),
        ([], ""),
    ],
)
def test_a_body_that_breaks_the_contract_is_refused_and_the_place_named(
    client: ApiClient, body: Any, place: str
) -> None:
    answer = client.post("/api/submit", body)
    assert (answer.status_code, list(answer.json())) == (400, ["error", "code", "errors"])
    assert place in answer.json()["error"]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"null", b'{"count": 1'])
@pytest.mark.parametrize("content_type", ["application/json", "application/octet-stream"])
def test_a_body_that_is_not_json_is_refused(client: ApiClient, body: bytes, content_type: str) -> None:
    answer = client.request("POST", "/api/submit", data=body, headers={"content-type": content_type})
    assert (answer.status_code, list(answer.json())) == (400, ["error", "code", "errors"])


@pytest.mark.parametrize("content_type", [None, "application/x-www-form-urlencoded", "text/plain", "image/png"])
def test_the_content_type_does_not_matter(
    client: ApiClient, images: ImageServer, picture: bytes, content_type: str | None
) -> None:
    # API Gateway encodes bodies of other types in Base64.
    url = images.add("/%C3%A4.jpg", picture).replace("%C3%A4", "ä")
    body = json.dumps(submission((STORE, [url])), ensure_ascii=False).encode()
    headers = {"content-type": content_type} if content_type else {}

    answer = client.request("POST", "/api/submit", data=body, headers=headers)
    assert answer.status_code == 201
    # The job must end before its image server does: retries would disturb the next test, which counts messages.
    assert client.wait(answer.json()["job_id"], END_SECONDS)["status"] == "completed"


def test_a_message_that_arrives_again_changes_nothing(
    client: ApiClient, stack: StackProcess, images: ImageServer, picture: bytes
) -> None:
    # GIVEN a job that has ended
    job = client.submit((STORE, [images.add("/a.jpg", picture), images.url("/missing.jpg")]))
    client.wait(job, END_SECONDS)
    queue = stack.client("sqs")

    def read(key: str) -> Any:
        names = {"pk": {"S": key}, "sk": {"S": key.partition("#")[0]}}
        return stack.client("dynamodb").get_item(TableName=stack.table_name, Key=names, ConsistentRead=True)["Item"]

    before = read(f"JOB#local#{job}")
    nonce = before["nonce"]["S"]
    chunk_before = read(f"CHUNK#{nonce}#00000")

    # WHEN its pointer arrives twice more
    pointer = Pointer(client="local", job_id=job, nonce=nonce, chunk=0, run=1, scope=Scope.ALL)
    for _ in range(2):
        queue.send_message(QueueUrl=stack.queue_url, MessageBody=encode(pointer))
    wait_until(lambda: _messages(queue, stack.queue_url) == 0, END_SECONDS)

    # THEN nothing was fetched again and nothing was written
    assert len(images.requests_of("/a.jpg")) == 1
    assert (read(f"JOB#local#{job}"), read(f"CHUNK#{nonce}#00000")) == (before, chunk_before)
    assert _messages(queue, stack.dead_letter_queue_url) == 0


def _messages(queue: Any, url: str) -> int:
    """Return how many messages wait, are delayed, or are being processed."""
    attributes = queue.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return sum(int(value) for name, value in attributes.items() if name.startswith("ApproximateNumberOfMessages"))
