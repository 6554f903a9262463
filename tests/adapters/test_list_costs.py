"""The cost of lists: requests and read units of a page, by DynamoDB's published rules, counted at the client."""

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.world.read_costs import ReadCosts
from local.lambda_host.table import TABLE
from retail_pulse.domain.chunks import cut
from retail_pulse.domain.jobs import Job, JobStatus, job_id_at
from retail_pulse.domain.periods import Period
from retail_pulse.domain.visits import Visit, VisitRow
from retail_pulse.storage.jobs_table import JobsTable
from retail_pulse.storage.reads_table import ReadsTable
from retail_pulse.storage.store_master import StoreMaster
from retail_pulse.use_cases.image_lists import ImageLists
from retail_pulse.use_cases.image_rows import MAX_PAGE_CHUNKS, ImageFilter, ImageRows
from retail_pulse.use_cases.job_lists import JobLists
from retail_pulse.use_cases.shown import OutcomeKind
from retail_pulse.use_cases.visit_reports import MAX_PAGE_STORES, VisitCursor, VisitReports
from tests.adapters.test_jobs_table import BAD, EXPIRES, GOOD, JOB, NOW

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

EVER = Period()


class Costs(ReadCosts):
    """Counts what a client reads, and checks that only an index is read at half the price."""

    def __init__(self, client: "DynamoDBClient") -> None:
        self.keys: list[str] = []
        super().__init__(client)

    def clear(self) -> None:
        super().clear()
        self.keys.clear()

    def before(self, params: dict[str, Any], model: Any, context: dict[str, Any], **_: Any) -> None:
        super().before(params, model, context)
        for table in params.get("RequestItems", {}).values() if model.name == "BatchGetItem" else ():
            self.keys += [key["pk"]["S"] for key in table["Keys"]]
        if model.name in {"BatchGetItem", "Query"}:
            assert context["consistent"] == ("IndexName" not in params)


@pytest.fixture
def costs(dynamodb: "DynamoDBClient", jobs_table: JobsTable) -> Costs:
    # The fixtures share the client, so that the requests of all tables are counted.
    return Costs(dynamodb)


@pytest.fixture
def reads_table(dynamodb: "DynamoDBClient") -> ReadsTable:
    return ReadsTable(dynamodb, TABLE)


@pytest.fixture
def images(reads_table: ReadsTable, jobs_table: JobsTable) -> ImageLists:
    rows = ImageRows(jobs_table, lambda _: None)
    return ImageLists(reads_table, rows, lambda _: 0, max_bytes=1, now=lambda: NOW)


def put(table: JobsTable, number: int, chunks: int = 1, failed: frozenset[int] = frozenset()) -> Job:
    """Store an ended job of full chunks that was submitted some minutes ago, and the first of its chunks."""
    created_at = NOW - timedelta(minutes=number)
    job = replace(
        JOB, job_id=job_id_at(created_at, 0), nonce=f"n{number}", status=JobStatus.COMPLETED, open=False, due=None,
        created_at=created_at, ended_at=NOW, images=50 * chunks, chunks=chunks, done=frozenset(range(chunks)),
        failed=failed,
    )  # fmt: skip
    table.put_job(job)
    (chunk,) = cut([Visit("A", "t", [f"http://a.example/{each:06}" for each in range(50)])], 50, 10**6)
    good, bad = (dict.fromkeys(range(50), outcome) for outcome in (GOOD, BAD))
    kept = [replace(chunk, number=each, outcomes=bad if each in failed else good) for each in range(chunks)]
    table.put_chunks(job.nonce, kept, EXPIRES)
    return job


def test_a_page_of_jobs_is_a_query_and_a_batch(jobs_table: JobsTable, reads_table: ReadsTable, costs: Costs) -> None:
    for number in range(120):
        put(jobs_table, number)
    lists = JobLists(reads_table, lambda _: 0, max_bytes=1, now=lambda: NOW)
    costs.clear()
    assert len(lists.page("me", EVER, None, None, 50).jobs) == 50
    assert costs.calls == {"Query": 1, "BatchGetItem": 1}
    # A unit for each job, and two for the index.
    assert costs.units <= 50 + 2
    costs.clear()
    # A status that no job has: the index is read, and no job.
    assert lists.page("me", EVER, JobStatus.FAILED, None, 50).jobs == []
    assert costs.calls == {"Query": 1}
    assert costs.units <= 3


def test_a_page_of_images_reads_what_it_shows_and_little_more(
    images: ImageLists, jobs_table: JobsTable, costs: Costs
) -> None:
    for number in range(30):
        put(jobs_table, number, chunks=2)
    costs.clear()
    page = images.page("me", EVER, ImageFilter(), None, 100)
    assert (len(page.rows), page.next_cursor is not None) == (100, True)
    # The index, four jobs at once, two chunks of the first one, and one chunk of the second to know that there is more.
    assert costs.calls == {"Query": 1, "BatchGetItem": 3}
    assert costs.units <= 1 + 4 + 2 + 1 + 2


def test_failed_images_are_read_only_from_chunks_with_failures(
    images: ImageLists, jobs_table: JobsTable, costs: Costs
) -> None:
    jobs = [put(jobs_table, number, 3, frozenset({1}) if number == 25 else frozenset()) for number in range(40)]
    costs.clear()
    page = images.page("me", EVER, ImageFilter(frozenset({OutcomeKind.FAILED})), None, 100)
    assert (len(page.rows), page.next_cursor) == (50, None)
    assert [key for key in costs.keys if key.startswith("CHUNK")] == [f"CHUNK#{jobs[25].nonce}#00001"]
    # 4, 8, 16 and 12 jobs, and the chunk.
    assert costs.calls == {"Query": 1, "BatchGetItem": 5}


def test_a_page_over_large_jobs_reads_at_most_so_many_chunks(
    images: ImageLists, jobs_table: JobsTable, costs: Costs
) -> None:
    for number in range(2):
        put(jobs_table, number, chunks=MAX_PAGE_CHUNKS - 50)
    wanted = ImageFilter(store_id="B")
    costs.clear()
    page = images.page("me", EVER, wanted, None, 100)
    assert (page.rows, len(costs.keys)) == ([], 2 + MAX_PAGE_CHUNKS)
    costs.clear()
    assert images.page("me", EVER, wanted, page.next_cursor, 100).next_cursor is None
    assert len(costs.keys) == 1 + MAX_PAGE_CHUNKS - 100


def test_a_page_of_a_report_is_a_query_per_store(reads_table: ReadsTable, jobs_table: JobsTable, costs: Costs) -> None:
    stores = StoreMaster({f"S{number:05}": ("name", "area") for number in range(3_500)})
    rows = [VisitRow("me", 1, number, 1, 1, f"S{number:05}", "2026-11-23", 420, 1) for number in range(0, 3_500, 10)]
    jobs_table.put_visit_rows([(row, EXPIRES) for row in rows], 30)
    reports = VisitReports(reads_table, stores, now=lambda: NOW)
    costs.clear()
    page = reports.page("me", "area", None, EVER, None, 1000)
    assert sum(len(store.visits) for store in page.stores) == MAX_PAGE_STORES // 10
    assert costs.calls == {"Query": MAX_PAGE_STORES}
    assert costs.units == MAX_PAGE_STORES
    assert page.next_cursor == VisitCursor(f"S{MAX_PAGE_STORES:05}", "")


def test_a_page_of_a_store_with_many_visits_reads_what_it_shows(
    reads_table: ReadsTable, jobs_table: JobsTable, costs: Costs
) -> None:
    stores = StoreMaster(dict.fromkeys(("A", "B"), ("name", "area")))
    rows = [VisitRow("me", 1, number, 1, 1, name, "2026-11-23", 420, 1) for name in ("A", "B") for number in range(500)]
    jobs_table.put_visit_rows([(row, EXPIRES) for row in rows], 30)
    costs.clear()
    page = VisitReports(reads_table, stores, now=lambda: NOW).page("me", None, None, EVER, None, 100)
    assert [len(store.visits) for store in page.stores] == [100]
    assert (costs.calls, costs.units <= 5) == ({"Query": 1}, True)
