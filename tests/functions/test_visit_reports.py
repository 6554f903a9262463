"""GET /api/visits: the report of a client's visits."""

import csv
import io
import json
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest

from local.client import submission
from local.images.pictures import Format, make_image
from local.images.server import ImageServer
from local.lambda_host.table import TABLE
from retail_pulse.api import schemas
from retail_pulse.domain.visits import VisitRow
from retail_pulse.storage.jobs_table import JobsTable
from retail_pulse.storage.store_master import StoreMaster
from retail_pulse.use_cases.visit_reports import VisitCursor
from tests.functions.service import Service
from tests.functions.test_lists import get, pages

NEVER = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp())
# Three stores of one area, by id, and one of another area.
STORES = sorted(StoreMaster.load().stores_of_area("7100163"), key=lambda store: store.store_id)
A, B, C = (store.store_id for store in STORES[:3])
OTHER = next(store for store in StoreMaster.load() if store.area_code != "7100163")
DAY = "2026-11-23T10:00:00Z"


def put(store_id: str, visit_time: str, perimeter: int, *, expires_at: int = NEVER, **values: Any) -> None:
    row = VisitRow("me", 1, 0, 1, 1, store_id, visit_time, perimeter, 1)._replace(**values)
    assert not JobsTable(boto3.client("dynamodb"), TABLE).put_visit_rows([(row, expires_at)], 60.0)


def report(service: Service, **query: Any) -> list[dict[str, list[int]]]:
    """Return the perimeters of every page by store."""
    found = []
    while True:
        code, body = service.get("/api/visits", **query)
        assert code == 200, body
        page = schemas.VisitReport.model_validate(body)
        found.append({store.store_id: [visit.perimeter for visit in store.data] for store in page.results})
        if page.next_cursor is None:
            return found
        query["cursor"] = page.next_cursor


def test_a_report_has_stores_and_visits_as_they_were_submitted(service: Service) -> None:
    with ImageServer() as server:
        url, gone = server.add("/a.png", make_image(Format.PNG, 64, 48)), server.url("/gone.png")
        body = submission((A, [url, url]), (OTHER.store_id, [url]), (A, [url, gone]))
        body["visits"][1]["visit_time"] = "yesterday"
        service.post(body=body)
        assert report(service, storeid=A) == [{}]
        service.deliver()
    first = {
        "store_id": A, "area": "7100163", "store_name": STORES[0].name,
        "data": [{"date": "2026-01-31T09:30:00.000Z", "perimeter": 448}],
    }  # fmt: skip
    second = {
        "store_id": OTHER.store_id, "area": OTHER.area_code, "store_name": OTHER.name,
        "data": [{"date": None, "perimeter": 224}],
    }  # fmt: skip
    assert service.get("/api/visits", area="7100163", storeid=A)[1] == {"results": [first], "next_cursor": None}
    assert service.get("/api/visits", storeid=OTHER.store_id)[1] == {"results": [second], "next_cursor": None}
    assert service.get("/api/visits", area=OTHER.area_code, storeid=A)[1] == {"results": [], "next_cursor": None}


def test_a_visit_counts_when_all_of_its_parts_are_measured(service: Service) -> None:
    put(A, DAY, 1, part=1, parts=2)
    put(A, DAY, 10, job_id=2, part=1, parts=2)
    put(A, DAY, 20, job_id=2, part=2, parts=2)
    put(A, DAY, 100, job_id=2, visit=1, part=2, parts=3)
    put(A, DAY, 200, job_id=2, visit=1, part=3, parts=3)
    for limit in (1, 2, 100):
        assert [page for page in report(service, storeid=A, limit=limit) if page] == [{A: [30]}]


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 6, 100])
def test_pages_have_each_visit_once_in_order(service: Service, limit: int) -> None:
    expected = [(store, hour) for store in (A, C) for hour in range(5)]
    for store, hour in reversed(expected):
        put(store, f"2026-11-23T0{hour}:00:00Z", hour, visit=hour, parts=2)
        put(store, f"2026-11-23T0{hour}:00:00Z", hour, visit=hour, part=2, parts=2)
    put(B, DAY, 7, client="you")
    put(B, DAY, 7, expires_at=1)
    found = report(service, area="7100163", limit=limit)
    assert [(store, sum_) for page in found for store in page for sum_ in page[store]] == [
        (store, 2 * hour) for store, hour in expected
    ]
    assert all(sum(map(len, page.values())) <= limit for page in found)
    rows = pages(service, "/api/visits", f"area=7100163&format=csv&limit={limit}")
    assert [(row[0], row[4]) for row in rows] == [(store, str(2 * hour)) for store, hour in expected]


def test_columns_of_the_report_as_csv(service: Service) -> None:
    put(A, DAY, 7)
    (row,) = csv.DictReader(io.StringIO(get(service, "/api/visits", f"storeid={A}&format=csv")["body"], newline=""))
    assert list(row.items()) == [
        ("store_id", A), ("area", "7100163"), ("store_name", STORES[0].name), ("date", "2026-11-23T10:00:00.000Z"),
        ("perimeter", "7"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("zone", "query", "visits"),
    [
        ("UTC", {}, [1, 2, 3, 4, 5]), ("UTC", {"startdate": "2026-11-23"}, [2, 3, 4]),
        ("UTC", {"enddate": "2026-11-23"}, [1, 2, 3]),
        ("UTC", {"startdate": "2026-11-23", "enddate": "2026-11-23"}, [2, 3]),
        ("UTC", {"startdate": "2026-11-23T00:00:00Z", "enddate": "2026-11-23T23:59:59.999Z"}, [2]),
        ("UTC", {"startdate": "2026-11-24T05:29:59+05:30", "enddate": "9999-12-31"}, [3, 4]),
        ("Asia/Kolkata", {"startdate": "2026-11-23", "enddate": "2026-11-23"}, [1, 2]),
        ("Asia/Kolkata", {"startdate": "2026-11-24"}, [3, 4]),
        ("UTC", {"startdate": "2026-11-25"}, []), ("UTC", {"enddate": "0001-01-01"}, []),
    ],
)  # fmt: skip
def test_days_are_those_of_the_time_zone(
    service: Service, monkeypatch: pytest.MonkeyPatch, zone: str, query: dict[str, str], visits: list[int]
) -> None:
    monkeypatch.setenv("REPORT_TIME_ZONE", zone)
    times = [
        "2026-11-22T23:59:59.999Z",
        "2026-11-23T00:00:00Z",
        "2026-11-23T23:59:59.999Z",
        "2026-11-24T00:00:00Z",
        "?",
    ]
    for number, time in enumerate(times, 1):
        put(A, time, number, visit=number)
    assert report(service, storeid=A, limit=1000, **query) == [{A: visits} if visits else {}]
    dates = [row[3] for row in pages(service, "/api/visits", f"storeid={A}&format=csv")]
    assert dates[1] == ("2026-11-23T00:00:00.000Z" if zone == "UTC" else "2026-11-23T05:30:00.000+05:30")
    assert dates[4] == ""


def test_times_at_the_ends_of_the_calendar_are_shown(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPORT_TIME_ZONE", "Asia/Kolkata")
    put(A, "9999-12-31T23:00:00Z", 1)
    put(A, "0001-01-01T00:00:00Z", 2)
    assert report(service, storeid=A) == [{A: [2, 1]}]


def test_a_time_before_standard_time_has_no_offset_with_seconds(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPORT_TIME_ZONE", "Asia/Kolkata")
    put(A, "1850-01-01T00:00:00Z", 1)
    put(A, "1950-01-01T00:00:00Z", 2)
    dates = [row[3] for row in pages(service, "/api/visits", f"storeid={A}&format=csv")]
    # Kolkata was 5:53:28 ahead of Greenwich; RFC 3339 cannot say so.
    assert dates == ["1850-01-01T00:00:00.000Z", "1950-01-01T05:30:00.000+05:30"]


def test_an_area_of_many_stores_ends_after_pages_of_bounded_reads(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retail_pulse.use_cases.visit_reports.MAX_PAGE_STORES", 25)
    put(STORES[55].store_id, DAY, 7)
    assert report(service, area="7100163") == [{}, {}, {STORES[55].store_id: [7]}]


def test_rows_of_visits_that_are_not_measured_bound_a_page(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retail_pulse.use_cases.visit_reports.MAX_PAGE_ROWS", 3)
    for store in (A, B):
        for number in range(3):
            put(store, DAY, 1, visit=number, parts=2)
    put(C, DAY, 7)
    assert report(service, area="7100163")[:3] == [{}, {}, {C: [7]}]


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("area=1", "area is not an area of the store master"), ("area=", "area is not an area of the store master"),
        ("storeid=S1", "storeid is not a store of the store master"),
        ("limit=0", "limit must be an integer from 1 to 1,000"),
        ("startdate=2026-11-24&enddate=2026-11-22", "startdate must not be after enddate"),
        ("enddate=x", "enddate must be a date or a date-time of RFC 3339, such as 2026-11-23 or 2026-11-23T10:00:00Z"),
        ("store_id=S1", "store_id is not a parameter of this route"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_as_in_the_contract(service: Service, query: str, error: str) -> None:
    answer = get(service, "/api/visits", query)
    assert (answer["statusCode"], json.loads(answer["body"])) == (400, {"error": error})


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "é", "AAAA", "=" * 4, "A" * 5_001, str(VisitCursor(A, "2026")), str(VisitCursor(A, "~" * 2_000)),
     str(VisitCursor(A, f"{DAY}#{1:016}#{1:06}#")), str(VisitCursor(A, f"٣#{1:016}#{1:06}"))],
)  # fmt: skip
def test_a_wrong_cursor_is_refused(service: Service, cursor: str) -> None:
    code, answer = service.get("/api/visits", storeid=A, cursor=cursor)
    assert (code, answer) == (400, {"error": "cursor must be the next_cursor of an earlier response"})


@pytest.mark.parametrize(
    "cursor", [VisitCursor("", ""), VisitCursor(A, f"!#{1:016}#{1:06}"), VisitCursor("\U0010ffff", "")]
)
def test_a_forged_cursor_shows_no_more_than_the_report(service: Service, cursor: VisitCursor) -> None:
    put(A, DAY, 7)
    code, answer = service.get("/api/visits", storeid=A, cursor=str(cursor))
    assert code in (200, 400)
    assert code == 400 or answer["results"] in ([], service.get("/api/visits", storeid=A)[1]["results"])
