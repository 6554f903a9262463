"""The codes of errors: each is on the page of codes, has an anchor where it is served, and occurs."""

import re
from dataclasses import replace
from typing import Any

import pytest

from local.checkout import ROOT
from local.client import submission
from local.lambda_host.context import Context
from local.lambda_host.events import api_event
from retail_pulse.api.request_errors import RequestCode
from retail_pulse.domain import failures
from retail_pulse.domain.failures import FailureCode
from retail_pulse.domain.jobs import ClientRetryPolicy
from retail_pulse.storage.errors import ThrottledError
from retail_pulse.storage.jobs_table import JobsTable
from tests.functions.service import STORE, Service
from tests.support.checkout import text
from tests.support.description import EXAMPLES

ORDER = submission((STORE, ["no-url"]))
_ROW = re.compile(r"^\| `(\w+)` \| (.+) \|$", re.MULTILINE)


def documented(section: str) -> dict[str, list[str]]:
    """Return the rows of a section of the page by their codes."""
    rows = _ROW.findall(text("docs/errors.md").split(f"## {section}\n")[1].split("\n## ")[0])
    assert rows
    return {code: cells.split(" | ") for code, cells in rows}


def test_every_code_is_documented_once_with_its_status_and_whether_it_is_transient() -> None:
    requests, images = documented("Requests"), documented("Images")
    assert {code: int(cells[0]) for code, cells in requests.items()} == {code: code.status for code in RequestCode}
    assert images.keys() == set(FailureCode)
    assert len(_ROW.findall(text("docs/errors.md"))) == len(RequestCode) + len(FailureCode)
    assert {code for code, cells in images.items() if cells[1].startswith("yes")} == failures._TRANSIENT


def test_every_code_has_an_anchor_on_the_page_that_is_served(service: Service) -> None:
    answer = service.load("status").handler(api_event("GET", "/docs/errors"), Context())
    assert (answer["statusCode"], answer["headers"]["Content-Type"]) == (200, "text/html")
    assert re.findall(r'<tr id="(\w+)"><td><code>\1</code></td>', answer["body"]) == [
        *documented("Requests"), *documented("Images"),
    ]  # fmt: skip
    assert set(re.findall(r"</?(\w+)", answer["body"])) <= {
        "html", "head", "meta", "title", "link", "style", "body", "h1", "h2", "p", "code", "div", "table", "tr", "th",
        "td",
    }  # fmt: skip
    for left_over in ("`", "|---", "## "):
        assert left_over not in answer["body"]


def codes(service: Service, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the code and the body of one refusal of each kind."""
    submit = service.load("submit")
    ended = f"/api/jobs/{service.post(body=ORDER)[1]['job_id']}/retry"
    service.deliver()
    found = [
        service.post(body="{}"),
        service.get("/api/jobs/1", by={"scopes": "submit"}),
        service.get("/api/nothing"),
        service.get("/api/jobs/1"),
        service.post(body="{}", content_encoding="gzip"),
        service.post(body=ORDER, by={"daily_images": "0"}),
        service.post(ended),
        service.post(ended),
    ]
    service.deliver()
    found.append(service.post(ended))
    monkeypatch.setattr(submit, "retrying", replace(submit.retrying, policy=ClientRetryPolicy(0, 1)))
    found.append(service.post(ended))
    empty = service.post(body=ORDER)[1]["job_id"]
    job = submit.table.job("me", empty)
    submit.table.close_job(job, job.status_at_end, job.created_at, None)
    found.append(service.post(f"/api/jobs/{empty}/retry"))
    found += [service.post(body=body, idempotency_key="order-1") for body in (ORDER, ORDER | {"x": 1})]
    monkeypatch.setattr(submit, "limits", replace(submit.limits, body_bytes=1))
    found.append(service.post(body="{}"))

    def refuse(*_: object) -> None:
        raise ThrottledError("DynamoDB: ThrottlingException")

    monkeypatch.setattr(JobsTable, "job", refuse)
    found.append(service.get("/api/jobs/1"))
    monkeypatch.setattr(JobsTable, "job", None)
    found.append(service.get("/api/jobs/1"))
    return [(status, body) for status, body in found if status >= 400]


def test_every_code_of_requests_occurs_and_leads_to_its_row(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    refusals = codes(service, monkeypatch)
    assert {body["code"] for _, body in refusals} == set(RequestCode)
    for status, body in refusals:
        code = RequestCode(body["code"])
        assert status == code.status
        if "error" not in body:
            assert (body["type"], body["title"]) == (f"/docs/errors#{code}", code.summary)
            assert body["request_id"] == api_event("GET", "/")["requestContext"]["requestId"]


def test_the_errors_of_the_description_are_what_is_sent(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def general(body: dict[str, Any]) -> tuple[str, str]:
        return body["code"], re.sub(r"[\d,]+|read|submit", "…", body.get("detail") or body["error"])

    sent = {general(body) for _, body in codes(service, monkeypatch)}
    shown = {general(each.value) for each in EXAMPLES if isinstance(each.value, dict) and "code" in each.value}
    # Their texts vary; other tests compare them.
    varied = {RequestCode.INVALID_REQUEST, RequestCode.DAILY_LIMIT_REACHED}
    assert {each for each in shown if each[0] not in varied} <= sent


def test_every_code_of_images_is_raised_somewhere() -> None:
    files = (ROOT / "layers/common/retail_pulse").rglob("*.py")
    sources = "".join(path.read_text("utf-8") for path in files if path.name != "failures.py")
    assert set(re.findall(r"\bFailureCode\.([A-Z_]+)", sources)) == set(FailureCode.__members__)
