"""The cost of reading in items, counted at the client: it does not grow with the job."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from retail_pulse.domain.chunks import cut
from retail_pulse.domain.jobs import Job, JobStatus
from retail_pulse.domain.visits import Visit
from retail_pulse.storage.jobs_table import JobsTable
from retail_pulse.use_cases.image_rows import Position
from retail_pulse.use_cases.reading import MAX_STATUS_CHUNKS, Reading
from tests.adapters.test_jobs_table import BAD, EXPIRES, JOB, NOW

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CHUNK_IMAGES = 50
# Images of a job and a page of its results in the middle.
SIZES = (100, 60_000)


class Reads:
    """Counts the items that a client requests, by kind."""

    def __init__(self, client: "DynamoDBClient") -> None:
        self.jobs: list[str] = []
        self.chunks: list[str] = []
        self.requests = 0
        client.meta.events.register("provide-client-params.dynamodb.*", self._count)

    def _count(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        assert model.name in {"GetItem", "BatchGetItem", "PutItem", "BatchWriteItem", "UpdateItem"}
        self.requests += 1
        keys = [params["Key"]] if model.name == "GetItem" else []
        if model.name == "BatchGetItem":
            keys = [key for table in params["RequestItems"].values() for key in table["Keys"]]
        for key in keys:
            (self.jobs if key["sk"]["S"] == "JOB" else self.chunks).append(key["pk"]["S"])


@pytest.fixture
def reads(dynamodb: "DynamoDBClient", jobs_table: JobsTable) -> Reads:
    # The fixtures share the client, so that the requests of `jobs_table` are counted.
    return Reads(dynamodb)


@pytest.fixture
def reading(jobs_table: JobsTable) -> Reading:
    return Reading(jobs_table, lambda _: None, lambda _: 0, lambda _: 0, max_bytes=1, now=lambda: NOW)


def stored(
    table: JobsTable, images: int, status: JobStatus, failed: frozenset[int] = frozenset(), bad: int = CHUNK_IMAGES
) -> Job:
    """Store a job of equal chunks, but only its three middle chunks and the failed ones, which have some bad images."""
    chunks = images // CHUNK_IMAGES
    is_open = status is JobStatus.ONGOING
    job = replace(
        JOB, job_id=images, nonce=f"n{images}", status=status, open=is_open, ended_at=None if is_open else NOW,
        images=images, chunks=chunks, due=None, done=frozenset(range(0 if is_open else chunks)), failed=failed,
    )  # fmt: skip
    table.put_job(job)
    (chunk,) = cut([Visit("A", "t", [f"http://a.example/{number}" for number in range(CHUNK_IMAGES)])], 50, 10**6)
    kept = {*range(_middle(job), min(chunks, _middle(job) + 3)), *failed}
    outcomes = dict.fromkeys(range(bad), BAD)
    chunks_kept = [replace(chunk, number=each, outcomes=outcomes if each in failed else {}) for each in sorted(kept)]
    table.put_chunks(job.nonce, chunks_kept, EXPIRES)
    return job


def _middle(job: Job) -> int:
    """Return the number of a chunk that another one follows."""
    return job.chunks // 2 - 1


@pytest.mark.parametrize("images", SIZES)
@pytest.mark.parametrize("status", [JobStatus.ONGOING, JobStatus.COMPLETED])
def test_the_status_of_a_job_of_any_size_is_one_item_read(
    images: int, status: JobStatus, jobs_table: JobsTable, reading: Reading, reads: Reads
) -> None:
    stored(jobs_table, images, status)
    assert reading.job("me", images).status is status
    assert (len(reads.jobs), len(reads.chunks)) == (1, 0)


@pytest.mark.parametrize("limit", [1, 50, 75])
def test_a_page_of_results_costs_the_same_in_a_job_of_any_size(
    limit: int, jobs_table: JobsTable, reading: Reading, reads: Reads
) -> None:
    costs = []
    for images in SIZES:
        job = stored(jobs_table, images, JobStatus.COMPLETED)
        reads.jobs.clear()
        reads.chunks.clear()
        page = reading.results("me", images, Position(_middle(job), 0), limit)
        costs.append((len(page.rows), len(reads.jobs), len(reads.chunks)))
    assert costs[0][1:] == costs[1][1:]
    assert costs[1] == (limit, 1, 1 + limit // CHUNK_IMAGES)


def test_a_failed_status_reads_only_the_chunks_with_failures(
    jobs_table: JobsTable, reading: Reading, reads: Reads
) -> None:
    failed = frozenset({3, 700, 1199})
    job = stored(jobs_table, 60_000, JobStatus.FAILED, failed)
    (store,) = reading.failed_stores(reading.job("me", 60_000))

    assert store.error.endswith("(and 149 more images)")
    assert len(reads.jobs) == 1
    assert sorted(reads.chunks) == sorted(f"CHUNK#{job.nonce}#{number:05}" for number in failed)


def test_the_status_of_a_large_failed_job_reads_its_first_chunks_with_failures_by_one_request(
    jobs_table: JobsTable, reading: Reading, reads: Reads
) -> None:
    failed = frozenset(range(1, 240, 2))
    job = stored(jobs_table, 12_000, JobStatus.FAILED, failed, bad=1)
    reads.requests = 0
    (store,) = reading.failed_stores(reading.job("me", 12_000))

    # The job, and a hundred of its chunks in the order of the body.
    assert reads.requests == 2
    assert reads.chunks == [f"CHUNK#{job.nonce}#{number:05}" for number in sorted(failed)[:MAX_STATUS_CHUNKS]]
    assert len(reads.chunks) == 100
    assert store.error.endswith("(and 99 more images)")
