"""What the demo submits, and what it reports as a difference."""

from collections.abc import Iterator
from dataclasses import replace
from io import StringIO

import pytest
import requests
from rich.console import Console

from local.demo import EndedJob, Job, differences, errors_table, plan, results_table
from local.images.pictures import Format, Sample
from local.images.server import ImageServer
from retail_pulse.storage.store_master import StoreMaster, StoreMasterError

GOOD, BAD = "http://127.0.0.1/a.jpg", "http://127.0.0.1/b.jpg"
SAMPLE = Sample("a.jpg", 1280, 720, Format.JPEG, 51234)
JOB = Job("Some wrong", [("S1", {GOOD: SAMPLE}), ("S2", {GOOD: SAMPLE, BAD: "http_status"})])
SIZE = {"width": 1280, "height": 720, "perimeter": 4000, "format": "JPEG", "bytes": 51234}
MEASURED = {"store_name": "One", "url": GOOD, "outcome": "measured", "error": None} | SIZE
ERROR = {"code": "http_status", "message": "404"}
FAILED = {"store_name": "One", "url": BAD, "outcome": "failed", "error": ERROR} | dict.fromkeys(SIZE)
ENDED = EndedJob(
    123,
    ["ongoing", "failed"],
    [{"store_id": "S2", "error": "…"}],
    [{**MEASURED, "store_id": "S1"}, {**MEASURED, "store_id": "S2"}, {**FAILED, "store_id": "S2"}],
)


@pytest.fixture
def server() -> Iterator[ImageServer]:
    with ImageServer() as server:
        yield server


class TestDifferences:
    def test_a_job_that_ended_as_expected_has_none(self) -> None:
        assert differences(JOB, ENDED) == []

    def test_a_planned_job_knows_its_expected_end(self) -> None:
        assert (JOB.status, JOB.failing_stores) == ("failed", ["S2"])
        well = Job("All well", JOB.visits[:1])
        assert (well.status, well.failing_stores) == ("completed", [])
        assert well.rows[0]["perimeter"] == 4000

    @pytest.mark.parametrize(
        "statuses", [["failed"], ["ongoing", "completed"], ["ongoing", "failed", "ongoing", "failed"]]
    )
    def test_another_sequence_of_statuses(self, statuses: list[str]) -> None:
        (line,) = differences(JOB, replace(ENDED, statuses=statuses))
        assert line == f"its status went {' > '.join(statuses)}, not ongoing > failed"

    @pytest.mark.parametrize("stores", [[], ["S1"], ["S1", "S2"], ["S2", "S2"]])
    def test_other_failing_stores(self, stores: list[str]) -> None:
        errors = [{"store_id": store, "error": "…"} for store in stores]
        (line,) = differences(JOB, replace(ENDED, errors=errors))
        assert line == f"its failing stores are {stores}, not ['S2']"

    def test_a_missing_result(self) -> None:
        assert differences(JOB, replace(ENDED, results=ENDED.results[:2])) == ["it has 2 results for 3 images"]

    @pytest.mark.parametrize(
        ("name", "value"),
        [("perimeter", 4001), ("width", 1), ("height", None), ("outcome", "pending"), ("store_id", "S9"), ("url", "x")],
    )
    def test_a_wrong_result(self, name: str, value: object) -> None:
        results = [{**ENDED.results[0], name: value}, *ENDED.results[1:]]
        (line,) = differences(JOB, replace(ENDED, results=results))
        assert line.startswith(f"{GOOD} of S1: {name} is {value!r}, not ")

    def test_another_failure(self) -> None:
        results = [*ENDED.results[:2], {**ENDED.results[2], "error": {"code": "timeout", "message": ""}}]
        (line,) = differences(JOB, replace(ENDED, results=results))
        assert line == f"{BAD} of S2: code is 'timeout', not 'http_status'"


class TestPlan:
    SAMPLES = tuple(Sample(f"{number}.jpg", 10 + number, 20, Format.JPEG, 1000) for number in range(24))

    def test_every_image_is_in_the_job_that_completes(self, server: ImageServer) -> None:
        good, bad = plan(self.SAMPLES, server, StoreMaster.load())
        assert (good.status, bad.status) == ("completed", "failed")
        assert {row["url"] for row in good.rows} == {server.url(f"/{sample.name}") for sample in self.SAMPLES}
        assert len(good.rows) == 24
        assert len(good.visits) == 8

    def test_every_kind_of_failure_is_in_the_job_that_fails(self, server: ImageServer) -> None:
        stores = StoreMaster.load()
        _, bad = plan(self.SAMPLES, server, stores)
        codes = {row["code"]: row["store_id"] for row in bad.rows if row["code"]}
        assert set(codes) == {"unknown_store", "http_status", "not_an_image"}
        assert codes["unknown_store"] not in stores
        assert codes["http_status"] in stores
        assert 0 < len(bad.failing_stores) < len(bad.visits)

    def test_the_page_is_served_and_the_missing_file_is_not(self, server: ImageServer) -> None:
        _, bad = plan(self.SAMPLES, server, StoreMaster.load())
        urls = {row["code"]: row["url"] for row in bad.rows}
        assert requests.get(urls["http_status"], timeout=10).status_code == 404
        assert requests.get(urls["not_an_image"], timeout=10).text.startswith("<!doctype html>")

    def test_a_store_master_with_a_single_store_is_enough(self, server: ImageServer) -> None:
        stores = StoreMaster.parse("AreaCode,StoreName,StoreID\n7,One,S99999999\n", "stores.csv")
        good, bad = plan(self.SAMPLES, server, stores)
        assert len(good.rows) == 24
        assert bad.failing_stores == ["S99999998", "S99999999"]

    def test_a_store_master_without_stores_is_an_error(self, server: ImageServer) -> None:
        with pytest.raises(StoreMasterError, match="no stores"):
            plan(self.SAMPLES, server, StoreMaster.parse("AreaCode,StoreName,StoreID\n", "stores.csv"))


class TestTables:
    @pytest.mark.parametrize("width", [80, 120])
    def test_they_show_the_measurements_and_the_failures(self, width: int) -> None:
        output = StringIO()
        console = Console(width=width, file=output)
        console.print(results_table(JOB, ENDED, width))
        console.print(errors_table(JOB, ENDED))
        lines = [line.split() for line in output.getvalue().splitlines()]
        name = ["One"] if width == 120 else []
        assert ["S1", *name, "a.jpg", "51,234", "1,280", "720", "4,000", "measured"] in lines
        assert ["S2", *name, "b.jpg", "-", "-", "-", "-", "http_status"] in lines
        assert ["S2", "…"] in lines
