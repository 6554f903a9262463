"""Lists and reports over HTTP on the real template, with its permissions and indexes."""

import csv
import io
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urljoin

import pytest

from local.client import ApiClient
from local.images.server import ImageServer, held
from local.stack.process import StackProcess
from retail_pulse.domain.api_keys import new_key
from retail_pulse.storage.api_keys_table import ApiKeysTable
from tests.support.waiting import END_SECONDS, wait_until

STORE, OTHER_STORE, THIRD_STORE = "S00339218", "S01408764", "S01592176"


@pytest.fixture
def reader(stack: StackProcess) -> Iterator[ApiClient]:
    """A client without jobs of other tests."""
    key = new_key()
    ApiKeysTable(stack.client("dynamodb"), stack.table_name).issue(key, "reader")
    with ApiClient(stack.url, key) as caller:
        yield caller


def rows_as_csv(client: ApiClient, path: str, **query: str | int) -> list[dict[str, str]]:
    """Read all pages of a list as CSV; follow the links."""
    rows: list[dict[str, str]] = []
    answer = client.get(path, format="csv", **query)
    while True:
        assert answer.status_code == 200, answer.text
        rows += csv.DictReader(io.StringIO(answer.text, newline=""))
        if "next" not in answer.links:
            return rows
        answer = client.request("GET", urljoin(path, answer.links["next"]["url"]))


def test_a_client_finds_its_jobs_and_their_images(
    reader: ApiClient, other_client: ApiClient, images: ImageServer, picture: bytes
) -> None:
    good, gone = images.add("/good.jpg", picture), images.url("/gone.jpg")
    jobs = [reader.submit((STORE, [good, gone])), reader.submit((OTHER_STORE, [good] * 30))]
    statuses = [reader.wait(job, END_SECONDS)["status"] for job in jobs]
    assert statuses == ["failed", "completed"]

    newest_first = [str(job) for job in reversed(jobs)]
    answer = reader.get("/api/jobs")
    assert [job["job_id"] for job in answer.json()["jobs"]] == newest_first
    assert [row["job_id"] for row in rows_as_csv(reader, "/api/jobs", limit=1)] == newest_first
    assert [job["job_id"] for job in reader.read("/api/jobs", status="failed")["jobs"]] == [str(jobs[0])]
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()
    assert reader.read("/api/jobs", **{"from": tomorrow})["jobs"] == []
    assert not set(newest_first) & {job["job_id"] for job in other_client.read("/api/jobs")["jobs"]}

    results = f"/api/jobs/{jobs[1]}/results"
    plain = reader.request("GET", results, headers={"Accept-Encoding": "identity"})
    zipped = reader.request("GET", results, headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in plain.headers
    assert zipped.headers["Content-Encoding"] == "gzip"
    assert zipped.json() == plain.json()
    assert [row["image"] for row in rows_as_csv(reader, results, limit=7)] == [str(number) for number in range(30)]
    (failed,) = reader.read(f"/api/jobs/{jobs[0]}/results", outcome="failed")["results"]
    assert failed["url"] == gone

    found = rows_as_csv(reader, "/api/images", limit=9)
    assert [row["job_id"] for row in found] == [str(jobs[1])] * 30 + [str(jobs[0])] * 2
    assert [row["error_code"] for row in found] == [""] * 31 + ["http_status"]
    assert len(rows_as_csv(reader, "/api/images", store_id=STORE)) == 2
    assert rows_as_csv(reader, "/api/images", area="unknown") == []
    assert other_client.read("/api/images", store_id=OTHER_STORE)["images"] == []


def test_a_client_reports_its_visits(
    reader: ApiClient, other_client: ApiClient, images: ImageServer, picture: bytes
) -> None:
    url = images.add("/visit.jpg", picture)
    job = reader.submit((THIRD_STORE, [url] * 120), (THIRD_STORE, [url, images.url("/gone.jpg")]))
    reader.wait(job, END_SECONDS)
    rows = rows_as_csv(reader, "/api/visits", storeid=THIRD_STORE, startdate="2026-01-31", enddate="2026-01-31")
    # Three parts of one visit; the other visit has an image that failed.
    assert [(row["date"], row["perimeter"]) for row in rows] == [("2026-01-31T09:30:00.000Z", str(120 * 420))]
    assert reader.read("/api/visits", storeid=THIRD_STORE, startdate="2026-02-01")["results"] == []
    assert other_client.read("/api/visits", storeid=THIRD_STORE, startdate="2026-01-31")["results"] == []
    answer = reader.get("/api/visits", area="1")
    assert (answer.status_code, answer.json()) == (400, {"error": "area is not an area of the store master"})


def test_every_route_serves_a_job_of_twenty_thousand_images(images: ImageServer, picture: bytes) -> None:
    # GIVEN visits of 40 images each, the last 25 of them to an unknown store, and one image that is held back
    held_back = threading.Event()
    images.add("/image.jpg", picture)
    urls = [images.url(f"/image.jpg?{number}") for number in range(20_000)]
    urls[18_999] = images.script("/held.jpg", held(picture, held_back))
    visits = [(STORE if first < 19_000 else "nowhere", urls[first : first + 40]) for first in range(0, 20_000, 40)]
    with (
        StackProcess(parameters={"DelayMinSeconds": "0", "DelayMaxSeconds": "0"}) as stack,
        ApiClient(stack.url, stack.api_key) as client,
    ):
        job = client.submit(*visits)
        details, results = f"/api/jobs/{job}", f"/api/jobs/{job}/results"
        wait_until(lambda: client.read(details)["images"]["measured"] > 0, END_SECONDS)

        # WHEN all results are read as CSV while the job runs, THEN each row comes once, in order
        assert [row["url"] for row in rows_as_csv(client, results, limit=1000)] == urls
        assert client.read("/api/status", jobid=job) == {"status": "ongoing", "job_id": str(job)}
        assert client.post(f"{details}/retry").status_code == 409

        # AND once it has ended
        held_back.set()
        assert client.wait(job, END_SECONDS)["error"][0]["store_id"] == "nowhere"
        rows = rows_as_csv(client, results, limit=1000)
        assert [row["url"] for row in rows] == urls
        assert [row["perimeter"] for row in rows] == ["420"] * 19_000 + [""] * 1000

        # AND filters that match nothing end, over one job and over all
        for path in (results, "/api/images"):
            assert rows_as_csv(client, path, outcome="pending") == []
            assert rows_as_csv(client, path, store_id="elsewhere") == []
        # AND the lists, the report and the retry are about the same images
        failed = rows_as_csv(client, "/api/images", outcome="failed", limit=300)
        assert [row["url"] for row in failed] == urls[19_000:]
        assert [row["images"] for row in rows_as_csv(client, "/api/jobs", status="failed")] == ["20000"]
        reported = rows_as_csv(client, "/api/visits", storeid=STORE, limit=100)
        assert [row["perimeter"] for row in reported] == [str(40 * 420)] * 475
        assert client.read("/api/usage")["client"] == "local"
        assert client.post(f"{details}/retry").json()["run"] == 2
        client.wait(job, END_SECONDS)
        assert client.read(details)["images"] == {"total": 20_000, "measured": 19_000, "failed": 1000, "pending": 0}
