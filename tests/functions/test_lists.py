"""What all lists have in common: CSV, gzip, links to the next page, and parameters."""

import base64
import csv
import gzip
import io
import json
from typing import Any

import pytest

from local.client import submission
from local.lambda_host.context import Context
from local.lambda_host.events import api_event
from tests.functions.service import STORE, Service
from tests.support.description import routes

# Their contract has no rule about further parameters.
CONTRACT = {("POST", "/api/submit"), ("GET", "/api/status")}
COLUMNS = (
    "visit,image,store_id,store_name,area_code,visit_time,url,outcome,width,height,perimeter,format,bytes,"
    "error_code,error_message,attempts,last_error_code,last_error_message,next_attempt_at"
)


def get(service: Service, path: str, query: str = "", **headers: str) -> dict[str, Any]:
    """Send a GET with a raw query; return the response as Lambda does."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    sent = api_event("GET", path, headers=named) | {"rawQueryString": query}
    found: dict[str, Any] = service.load("status").handler(sent, Context())
    return found


def pages(service: Service, path: str, query: str) -> list[list[str]]:
    """Return the rows of all pages as CSV, without their headers; follow the links."""
    rows: list[list[str]] = []
    while True:
        answer = get(service, path, query)
        assert (answer["statusCode"], answer["headers"]["Content-Type"]) == (200, "text/csv; charset=utf-8")
        rows += list(csv.reader(io.StringIO(answer["body"], newline="")))[1:]
        link = answer["headers"].get("Link")
        if link is None:
            return rows
        assert link.startswith(f"<{path}?")
        assert link.endswith('>; rel="next"')
        query = link.partition("?")[2].partition(">")[0]


def test_all_pages_as_csv_have_each_row_once_in_order(service: Service) -> None:
    urls = [f"http://127.0.0.1:9/{number},\"'=.jpg" for number in range(7)]
    path = f"/api/jobs/{service.submit(*urls)}/results"
    assert [row[6] for row in pages(service, path, "limit=3&format=csv")] == urls
    answer = get(service, path, "limit=3", accept="text/csv")
    assert answer["body"].split("\r\n")[0] == COLUMNS
    assert answer["headers"]["Link"] == f'<{path}?limit=3&cursor=0.3>; rel="next"'


def test_failures_have_flat_names_in_csv(service: Service) -> None:
    job = service.submit("http://127.0.0.1:9/a.jpg")
    service.deliver()
    (row,) = csv.DictReader(io.StringIO(get(service, f"/api/jobs/{job}/results", "format=csv")["body"], newline=""))
    assert (row["outcome"], row["error_code"], row["attempts"], row["width"]) == ("failed", "connect_failed", "1", "")


def test_a_long_page_is_compressed_for_who_accepts_it(service: Service) -> None:
    path = f"/api/jobs/{service.submit(*['http://127.0.0.1:9/a.jpg'] * 50)}/results"
    plain = get(service, path)
    answer = get(service, path, accept_encoding="gzip, deflate")
    assert (plain["isBase64Encoded"], answer["isBase64Encoded"]) == (False, True)
    assert answer["headers"]["Content-Encoding"] == "gzip"
    assert gzip.decompress(base64.b64decode(answer["body"])).decode() == plain["body"]


@pytest.mark.parametrize(("method", "path"), sorted({*routes(with_key=True)} - CONTRACT))
def test_an_unknown_parameter_is_refused_and_named(service: Service, method: str, path: str) -> None:
    function = "submit" if method == "POST" else "status"
    sent = api_event(method, path.replace("{job_id}", "1")) | {"rawQueryString": "outcom=failed"}
    code, answer = service.call(function, sent)
    assert (code, answer.get("detail", answer.get("error"))) == (400, "outcom is not a parameter of this route")


def test_a_retry_with_an_unknown_parameter_is_not_begun(service: Service) -> None:
    job = service.submit("http://127.0.0.1:9/a.jpg")
    service.deliver()
    sent = api_event("POST", f"/api/jobs/{job}/retry") | {"rawQueryString": "scope=transient"}
    assert service.call("submit", sent)[0] == 400
    assert service.get(f"/api/jobs/{job}")[1]["run"] == 1


def test_a_retry_with_an_unknown_parameter_is_refused(service: Service) -> None:
    sent = api_event("POST", "/api/jobs/1/retry", query={"image": "2"})
    code, problem = service.call("submit", sent)
    assert (code, problem["detail"]) == (400, "image is not a parameter of this route")


def test_the_contract_ignores_unknown_parameters(service: Service) -> None:
    body = json.dumps(submission((STORE, ["http://127.0.0.1:9/a.jpg"])))
    code, answer = service.call("submit", api_event("POST", "/api/submit", body=body, query={"utm_source": "mail"}))
    assert code == 201
    assert service.get("/api/status", jobid=answer["job_id"], utm_source="mail")[0] == 200


@pytest.mark.parametrize("query", ["outcome=good", "outcome=failed&outcome=", "outcome=failed,measured"])
def test_an_unknown_outcome_is_refused(service: Service, query: str) -> None:
    answer = get(service, "/api/jobs/1/results", query)
    assert answer["statusCode"] == 400
    assert json.loads(answer["body"])["detail"] == "outcome must be pending, measured or failed"


@pytest.mark.parametrize(
    ("path", "name"), [("/api/jobs/1/results", "store_id"), ("/api/images", "store_id"), ("/api/images", "area")]
)
def test_an_empty_filter_is_refused(service: Service, path: str, name: str) -> None:
    # It can match nothing: usually a variable of a script was not set.
    answer = get(service, path, f"{name}=")
    assert (answer["statusCode"], json.loads(answer["body"])["detail"]) == (400, f"{name} must not be empty")


def test_results_are_filtered_by_outcomes_and_store(service: Service) -> None:
    path = f"/api/jobs/{service.submit('http://127.0.0.1:9/a.jpg', 'http://127.0.0.1:9/b.jpg')}/results"
    for query, rows in (
        (f"outcome=failed&outcome=pending&store_id={STORE}", 2), ("outcome=failed", 0), ("store_id=S1", 0),
    ):  # fmt: skip
        body = json.loads(get(service, path, query)["body"])
        assert (len(body["results"]), body["next_cursor"]) == (rows, None)
