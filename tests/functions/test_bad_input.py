"""Bad input: GIVEN the event of a bad request, THEN the response is a 4xx that names the rule."""

import codecs
import gzip
import json
import re

import pytest

from local.lambda_host.events import event
from retail_pulse.api import schemas
from tests.functions.service import STORE, Service

VISIT = {"store_id": STORE, "image_url": ["x"], "visit_time": "now"}
GOOD = json.dumps({"count": 1, "visits": [VISIT]})


# ------------------------------------------------------------------ bodies


UNREADABLE: list[tuple[str | bytes, str]] = [
    ("", "body is not JSON: EOF"),
    ("[]", "body must be an object"),
    ('"count"', "body must be an object"),
    ("[" * 100_000, "body is not JSON: nested too deeply at line 1 column"),
    ('{"count":' + "1" * 100_000 + "}", "body is not JSON: number out of range at line 1 column"),
    (" " * 6_000_000, "body is not JSON: EOF while parsing a value at line 1 column 6000000"),
    # Lambda parses the event with Python's json, which turns an escaped lone surrogate into a real one.
    (GOOD.replace("now", "\ud800"), "body is not JSON: invalid UTF-8 at line 1 column"),
    (GOOD.replace("now", "\\ud800"), "body is not JSON: lone surrogate at line 1 column"),
    (GOOD.replace("now", "\x00"), "body is not JSON: control character"),
    (b"\xff\xfe", "body is not JSON: expected value at line 1 column 1"),
    (GOOD.replace("now", "ä").encode("latin-1"), "body is not JSON: invalid UTF-8 at line 1 column"),
    (GOOD.encode("utf-16"), "body is not JSON: expected value at line 1 column 1"),
    (codecs.BOM_UTF8 + GOOD.encode(), "body must not begin with a byte order mark"),
    (gzip.compress(GOOD.encode()), "body is not JSON: expected value at line 1 column 1"),
    (GOOD.replace("1", "NaN"), "count must be an integer"),
    (GOOD.replace("1", "1e999"), "count must be an integer"),
    (GOOD.replace("1", str(2**63)), "count must be less than 2^53"),
    (f"count=1&visits={GOOD}", "body is not JSON: expected value at line 1 column 1"),
]


def test_an_unreadable_body_is_a_400_with_the_place_and_the_rule(service: Service) -> None:
    for body, error in UNREADABLE:
        code, answer = service.post(body=body)
        assert (code, list(answer)) == (400, ["error", "code", "errors"])
        assert answer["error"].startswith(error)
        assert [f"{one['place']} {one['rule']}" for one in answer["errors"]] == [answer["error"]]


def test_invalid_base64_is_a_400(service: Service) -> None:
    errors = [{"place": "body", "rule": "is not valid Base64"}]
    refusal = {"error": "body is not valid Base64", "code": "invalid_request", "errors": errors}
    for body in ("!!!!", "aGk", "é", "e30=\n", "\ud800"):
        sent = event("submit") | {"body": body, "isBase64Encoded": True}
        assert service.call("submit", sent) == (400, refusal)


def test_a_compressed_body_is_a_415(service: Service) -> None:
    for encoding in ("gzip", "GZIP", "br", "deflate, gzip", "x" * 1000, "\ud800"):
        code, answer = service.post(body=gzip.compress(GOOD.encode()), content_encoding=encoding)
        assert (code, list(answer)) == (415, ["error", "code"])
        assert answer["error"].startswith("header Content-Encoding is ")
        assert len(answer["error"]) < 120


def test_an_identity_encoding_is_accepted(service: Service) -> None:
    for encoding in ("", "identity", " Identity"):
        assert service.post(body=GOOD, content_encoding=encoding)[0] == 201


def test_the_content_type_does_not_matter(service: Service) -> None:
    for content_type in ("application/x-www-form-urlencoded", "text/plain", "application/json; charset=x", ""):
        for body in (GOOD, GOOD.encode()):
            assert service.post(body=body, content_type=content_type)[0] == 201


@pytest.mark.parametrize(
    ("variable", "limit", "code", "error"),
    [
        ("MAX_BODY_BYTES", 200, 413, "body is 231 bytes; the limit is 200"),
        ("MAX_JOB_VISITS", 1, 400, "visits has 2 visits; the limit is 1"),
        ("MAX_JOB_IMAGES", 2, 400, "visits has 3 images in total; the limit is 2"),
    ],
)
def test_a_job_beyond_a_limit_of_the_stage_is_refused_and_the_limit_named(
    service: Service, monkeypatch: pytest.MonkeyPatch, variable: str, limit: int, code: int, error: str
) -> None:
    text = json.dumps({"count": 2, "visits": [VISIT, VISIT | {"image_url": ["a", "b"]}]}).ljust(231)
    monkeypatch.setenv(variable, str(limit))
    for body in (text, text.encode()):
        found, answer = service.post(body=body)
        assert (found, answer["error"]) == (code, error)


def test_an_accepted_job_never_fails_later_because_of_its_characters(service: Service) -> None:
    # GIVEN a job with control characters and other odd texts, for a known store and for unknown ones
    texts = [
        "\x00", "a\x00#STORE", "\x7f\x1b[31m", "\u2028", "\ufeff", "\uffff", "\U0010ffff", "#", "\\u0000", "</script>",
    ]  # fmt: skip
    visits = [VISIT | {"visit_time": text, "image_url": [f"http://{text}/", text]} for text in texts]
    visits += [VISIT | {"store_id": text} for text in texts]
    code, answer = service.post(body={"count": len(visits), "visits": visits})
    assert code == 201
    job = answer["job_id"]

    # WHEN it is read before and after it is processed
    for expected in ("pending", "failed"):
        code, answer = service.get(f"/api/jobs/{job}/results", limit="1000")
        assert code == 200
        rows = schemas.ResultList.model_validate(answer).results
        # THEN every text is unchanged
        assert [row.visit_time for row in rows if row.image == 0] == [visit["visit_time"] for visit in visits]
        assert [row.store_id for row in rows if row.image == 0] == [visit["store_id"] for visit in visits]
        assert {row.outcome for row in rows} == {expected}
        assert service.get(f"/api/jobs/{job}")[0] == 200
        code, answer = service.get("/api/status", jobid=job)
        assert code == 200
        service.deliver()
    assert schemas.StatusAnswer.model_validate(answer).status == "failed"


# ------------------------------------------------------------------ headers


def test_an_idempotency_key_that_breaks_the_rule_is_a_400(service: Service) -> None:
    errors = [{"place": "header Idempotency-Key", "rule": "must be 1 to 255 visible ASCII characters"}]
    refusal = {"error": " ".join(errors[0].values()), "code": "invalid_request", "errors": errors}
    for key in ("", " ", "a b", "\x00", "é", "x" * 256, "a\n", "\ud800", "\u0661"):
        assert service.post(body=GOOD, idempotency_key=key) == (400, refusal)


def test_any_other_key_is_valid(service: Service) -> None:
    for key in ("x" * 255, "#", "a,b", "JOB#me#1", "'\"\\"):
        first = service.post(body=GOOD, idempotency_key=key)
        assert first[0] == 201
        assert service.post(body=GOOD, idempotency_key=key) == first


# ------------------------------------------------------------------ queries

ODD_NUMBERS = ["", " 1", "+1", "-1", "1,0", "1e3", "0x1", "1_0", "١", "１", "9" * 400, "1,1", "null", "\x00", "\ud800"]


def test_the_status_of_an_invalid_job_id_is_400_and_empty_as_the_contract_requires(service: Service) -> None:
    for job in (*ODD_NUMBERS, "1.0", "0", "1,2", str(2**53)):
        assert service.get("/api/status", jobid=job) == (400, {})


def test_an_invalid_limit_is_a_400_that_names_it(service: Service) -> None:
    for limit in (*ODD_NUMBERS, "1.0", "0", "1001"):
        code, answer = service.get("/api/jobs/1/results", limit=limit)
        assert (code, answer["detail"]) == (400, "limit must be an integer from 1 to 1,000")


def test_an_invalid_cursor_is_a_400_that_names_it(service: Service) -> None:
    for cursor in (*ODD_NUMBERS, "1", ".", "1.", ".1", "1.1.1", "1.-1", "0.0,0.0", "0.1000000"):
        code, answer = service.get("/api/jobs/1/results", cursor=cursor)
        assert (code, answer["detail"]) == (400, "cursor must be the next_cursor of an earlier response")


def test_a_cursor_beyond_the_end_returns_an_empty_page(service: Service) -> None:
    found = service.get(f"/api/jobs/{service.submit('x')}/results", cursor="999999.999999")
    assert found == (200, {"results": [], "next_cursor": None})


# ------------------------------------------------------------------ paths


UNKNOWN_PATHS = [
    "", "//", "//api/submit", "/api//submit", "/api/submit//", "/api/./submit", "/api/x/../submit",
    "/api/submit/x", "/api/%2e/submit", "/api%2Fsubmit", "/API/submit", "/api/submit\n", "/api/submit\x00",
    "/api/submit;x=1", "/api/ü", "/api/\ud800", "/api/" + "x" * 8000, "/api/jobs//retry", "/api/jobs/1/retry/x",
    "/api/jobs/1//retry", "/api/jobs/\ud800/retry",
]  # fmt: skip


def test_an_unknown_path_is_a_404_that_names_it_in_printable_characters(service: Service) -> None:
    for code, answer in (ask(path) for path in UNKNOWN_PATHS for ask in (service.post, service.get)):
        problem = schemas.Problem.model_validate(answer)
        assert code == problem.status == 404
        assert re.fullmatch("(POST|GET) .* is not a route of this API|no such job", problem.detail)
        assert problem.detail.isprintable()
        assert len(problem.detail) < 250


def test_an_invalid_job_id_in_a_path_is_a_404(service: Service) -> None:
    for job in (*filter(None, ODD_NUMBERS), "%31", "1%2F2", "a.b", "{x}", "<x>", "1\n"):
        path = f"/api/jobs/{job}"
        for code, answer in (service.get(path), service.get(f"{path}/results"), service.post(f"{path}/retry", "")):
            assert code == schemas.Problem.model_validate(answer).status == 404


def test_a_method_that_a_path_does_not_have_is_a_404_that_names_both(service: Service) -> None:
    refusal = {"error": "GET /api/submit is not a route of this API", "code": "route_not_found"}
    assert service.get("/api/submit") == (404, refusal)
    code, answer = service.post("/api/status")
    assert (code, answer["detail"]) == (404, "POST /api/status is not a route of this API")
