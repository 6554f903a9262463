"""Bad input over HTTP, where the gateway in front of the functions could change it."""

import gzip
import json
from typing import Any

from local.client import ApiClient, submission
from local.images.server import ImageServer
from tests.support.waiting import END_SECONDS

STORE = "S00339218"
BODY = json.dumps(submission((STORE, ["x"]))).encode()
UNREADABLE = (b"[" * 100_000, b'{"count":' + b"1" * 5_000 + b"}", b"\xef\xbb\xbf" + BODY, b" " * 4_000_000)


def send(client: ApiClient, body: bytes, **headers: str) -> tuple[int, Any]:
    named = {"content-type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    answer = client.request("POST", "/api/submit", data=body, headers=named)
    return answer.status_code, answer.json()


def test_an_unreadable_body_is_refused_whatever_its_content_type(client: ApiClient) -> None:
    for content_type in ("application/json", "application/x-www-form-urlencoded"):
        for body in UNREADABLE:
            code, answer = send(client, body, content_type=content_type)
            assert (code, list(answer)) == (400, ["error", "code", "errors"])
            assert answer["error"].startswith("body ")


def test_a_compressed_body_is_refused_and_the_header_named(client: ApiClient) -> None:
    error = "header Content-Encoding is gzip; the body must not be compressed"
    refusal = {"error": error, "code": "unsupported_encoding"}
    assert send(client, gzip.compress(BODY), content_encoding="gzip") == (415, refusal)


def test_a_header_that_is_not_ascii_is_refused_and_named(client: ApiClient) -> None:
    code, answer = send(client, BODY, idempotency_key="é".encode().decode("latin-1"))
    assert code == 400
    assert answer["error"].startswith("header Idempotency-Key must be ")


def test_a_parameter_that_is_repeated_or_invalid_is_refused_and_named(client: ApiClient) -> None:
    for query in ("limit=1&limit=2", "limit=", "limit=%D9%A3", "cursor=0.0&cursor=0.1", "cursor=", "cursor=%00"):
        answer = client.request("GET", f"/api/jobs/1/results?{query}")
        assert answer.status_code == 400
        assert answer.json()["detail"].startswith(f"{query.partition('=')[0]} ")
    for query in ("jobid=1&jobid=2", "jobid=%D9%A3", "jobid=%00", "jobid=%FF", "jobid=" + "9" * 400):
        answer = client.request("GET", f"/api/status?{query}")
        assert (answer.status_code, answer.json()) == (400, {})


def test_an_invalid_path_is_not_found(client: ApiClient) -> None:
    paths = ("//api/submit", "/api//submit", "/api/submit%2F%2F", "/api/submit%0A", "/api/jobs/%00", "/api/%ED%A0%80")
    for path in paths:
        for method in ("GET", "POST"):
            assert client.request(method, path).status_code == 404


def test_texts_with_control_characters_come_back_unchanged(client: ApiClient, images: ImageServer) -> None:
    texts = ["\x00", "a\x00#STORE", "\u2028", "\ufeff", "\U0010ffff", "#"]
    job = client.submit(*((text, [images.url("/a.jpg") + text]) for text in texts))
    assert [store["store_id"] for store in client.wait(job, END_SECONDS)["error"]] == texts
    assert [row["store_id"] for row in client.results(job)] == texts
