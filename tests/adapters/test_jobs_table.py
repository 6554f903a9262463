"""The jobs table: one contract for DynamoDB (on moto) and for the table in memory, and details of DynamoDB."""

from dataclasses import replace
from datetime import UTC, datetime
from threading import Barrier, get_ident
from typing import TYPE_CHECKING, Any
from unittest.mock import DEFAULT, Mock

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.stub import Stubber

from benchmarks.world.aws_stand_in import capacity
from local.lambda_host.table import TABLE
from retail_pulse.api.submit_body import METADATA_KEY_BYTES, METADATA_PAIRS, METADATA_VALUE_BYTES
from retail_pulse.domain.chunks import Chunk, ChunkKey, Scope, cut
from retail_pulse.domain.errors import JobIdTakenError, StorageUnavailableError
from retail_pulse.domain.failures import FailureCode
from retail_pulse.domain.jobs import ChunkVerdict, Job, JobStatus
from retail_pulse.domain.outcomes import Failure, Measured
from retail_pulse.domain.visits import Visit, VisitRow
from retail_pulse.storage import items
from retail_pulse.storage.jobs_table import JobsTable
from retail_pulse.use_cases.submission import MAX_CHUNKS
from tests.support.fakes import FakeTable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
EXPIRES = 1_800_000_000
GOOD = Measured("JPEG", 1280, 720, 51_234)
BAD = Failure(FailureCode.HTTP_STATUS, "404 from http://a.example/ä", is_transient=False)
TRANSIENT = Failure(FailureCode.TIMEOUT, "too slow", is_transient=True)
JOB = Job(
    client="me", job_id=123, nonce="n", status=JobStatus.ONGOING, open=True, run=1, scope=Scope.ALL, created_at=NOW,
    ended_at=None, visits=2, images=120, chunks=3, due=EXPIRES, expires_at=EXPIRES,
)  # fmt: skip
CHUNKS = cut([Visit("A", "2026-11-23", [f"u{number}" for number in range(70)]), Visit("B", "ü", ["v"])], 50, 10**6)
KEY = ChunkKey("n", 0)


@pytest.fixture(params=["dynamodb", "memory"])
def table(request: pytest.FixtureRequest) -> Any:
    return FakeTable() if request.param == "memory" else request.getfixturevalue("jobs_table")


def stored(table: JobsTable | FakeTable) -> Chunk:
    table.put_chunks("n", CHUNKS, EXPIRES)
    return table.chunks([KEY])[KEY]


def test_chunks_come_back_as_they_were_stored_and_missing_ones_are_left_out(table: JobsTable) -> None:
    table.put_chunks("n", CHUNKS, EXPIRES)
    found = table.chunks([ChunkKey("n", 0), ChunkKey("n", 1), ChunkKey("n", 9), ChunkKey("other", 0)])
    assert found == {ChunkKey("n", chunk.number): replace(chunk, job_expires_at=EXPIRES) for chunk in CHUNKS}


def test_more_chunks_than_a_batch_holds_are_written_and_read(table: JobsTable) -> None:
    chunks = cut([Visit("A", "t", ["u"] * 130)], 1, 10**6)
    table.put_chunks("n", chunks, EXPIRES)
    assert len(table.chunks([ChunkKey("n", number) for number in range(130)])) == 130


def test_a_job_comes_back_as_it_was_stored_and_belongs_to_its_client(table: JobsTable) -> None:
    table.put_job(JOB)
    assert table.job("me", 123) == JOB
    assert table.job("you", 123) is None


def test_metadata_comes_back_and_a_job_without_it_is_stored_as_it_was_before_there_was_any(table: JobsTable) -> None:
    job = replace(JOB, metadata={"campaign": '\x00 "ü"', "empty": ""})
    table.put_job(job)
    assert table.job("me", 123) == job
    assert "metadata" not in items.job_item(JOB)
    assert items.job_from(items.job_item(JOB)).metadata == {}


def test_the_largest_job_fits_into_an_item_with_the_largest_metadata() -> None:
    chunks = frozenset(range(MAX_CHUNKS))
    # JSON escapes NUL in six characters.
    metadata = {
        chr(65 + pair) + "\x00" * (METADATA_KEY_BYTES - 1): "\x00" * METADATA_VALUE_BYTES
        for pair in range(METADATA_PAIRS)
    }
    job = replace(JOB, done=chunks, failed=chunks, transient=chunks, metadata=metadata)
    assert capacity.size(items.job_item(job)) + 3 * MAX_CHUNKS < 400 * 1024


def test_an_id_is_taken_once_but_the_same_attempt_may_ask_twice(table: JobsTable) -> None:
    table.put_job(JOB)
    table.put_job(JOB)
    with pytest.raises(JobIdTakenError):
        table.put_job(replace(JOB, nonce="another"))
    table.put_job(replace(JOB, client="you", nonce="another"))


def test_an_image_keeps_the_outcome_that_it_has(table: JobsTable) -> None:
    chunk = stored(table)
    table.save_chunk(KEY, 1, {0: GOOD, 1: BAD})
    saved = table.save_chunk(KEY, 1, {1: GOOD, 2: TRANSIENT})
    assert saved == replace(chunk, outcomes={0: GOOD, 1: BAD, 2: TRANSIENT})


def test_all_fifty_images_are_saved_in_one_write(table: JobsTable) -> None:
    stored(table)
    saved = table.save_chunk(KEY, 1, dict.fromkeys(range(50), BAD))
    assert saved is not None
    assert saved.is_done


def test_a_save_of_another_run_or_of_a_missing_chunk_is_refused_and_creates_nothing(table: JobsTable) -> None:
    stored(table)
    assert table.save_chunk(KEY, 2, {0: GOOD}) is None
    assert table.save_chunk(ChunkKey("gone", 0), 1, {0: GOOD}) is None
    assert table.chunks([ChunkKey("gone", 0)]) == {}


def test_reopening_removes_the_named_outcomes_and_happens_once(table: JobsTable) -> None:
    chunk = stored(table)
    table.save_chunk(KEY, 1, {0: GOOD, 1: BAD, 2: TRANSIENT})
    reopened = table.reopen_chunk(KEY, chunk, 3, [1, 2])
    assert reopened == replace(chunk, run=3, outcomes={0: GOOD})
    assert table.reopen_chunk(KEY, chunk, 4, []) is None
    assert table.reopen_chunk(KEY, reopened, 4, []) == replace(reopened, run=4)


def test_adding_a_chunk_twice_changes_nothing_and_sets_stay_apart(table: JobsTable) -> None:
    table.put_job(JOB)
    verdicts = [ChunkVerdict(0, failed=False, transient=False), ChunkVerdict(2, failed=True, transient=True)]
    table.add_chunks("me", 123, 1, verdicts)
    added = replace(JOB, done=frozenset({0, 2}), failed=frozenset({2}), transient=frozenset({2}))
    assert table.add_chunks("me", 123, 1, verdicts) == added
    assert table.add_chunks("me", 123, 2, verdicts) is None
    assert table.add_chunks("me", 999, 1, verdicts) is None
    assert table.job("me", 999) is None


def test_a_job_is_closed_once_and_only_in_its_run(table: JobsTable) -> None:
    table.put_job(JOB)
    assert table.close_job(replace(JOB, run=2), JobStatus.FAILED, NOW, None) is None
    closed = replace(JOB, status=JobStatus.COMPLETED, open=False, ended_at=NOW, due=None)
    assert table.close_job(JOB, JobStatus.COMPLETED, NOW, None) == closed
    assert table.close_job(JOB, JobStatus.FAILED, NOW, None) is None


def test_all_chunks_are_added_and_the_job_ends_at_once_in_its_run(table: JobsTable) -> None:
    table.put_job(JOB)
    verdicts = [ChunkVerdict(number, failed=number == 1, transient=False) for number in range(3)]
    how = verdicts, JobStatus.FAILED, NOW
    assert table.close_at_once("me", 123, 2, *how) is None
    assert table.close_at_once("me", 999, 1, *how) is None
    assert table.job("me", 123) == JOB
    closed = replace(
        JOB,
        status=JobStatus.FAILED,
        open=False,
        ended_at=NOW,
        due=None,
        done=frozenset({0, 1, 2}),
        failed=frozenset({1}),
    )
    assert table.close_at_once("me", 123, 1, *how) == closed
    assert table.close_at_once("me", 123, 1, verdicts, JobStatus.COMPLETED, NOW) is None
    assert table.job("me", 123) == closed


def test_an_open_job_is_due_and_an_ended_one_leaves_the_due_index(
    jobs_table: JobsTable, dynamodb: "DynamoDBClient"
) -> None:
    def due() -> int:
        return dynamodb.scan(TableName=TABLE, IndexName="by_due")["Count"]

    jobs_table.put_job(JOB)
    assert due() == 1
    jobs_table.close_job(JOB, JobStatus.COMPLETED, NOW, None)
    assert due() == 0
    jobs_table.put_job(replace(JOB, job_id=124))
    assert due() == 1
    jobs_table.close_at_once("me", 124, 1, [ChunkVerdict(0, False, False)], JobStatus.COMPLETED, NOW)
    assert due() == 0


def test_chunks_outlive_their_job_by_seven_days(jobs_table: JobsTable, dynamodb: "DynamoDBClient") -> None:
    jobs_table.put_chunks("n", CHUNKS, EXPIRES)
    (expiry,) = {item["expires_at"]["N"] for item in dynamodb.scan(TableName=TABLE)["Items"]}
    assert int(expiry) == EXPIRES + 7 * 86_400


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that waits move on, and that replaces them."""
    clock = [0.0]
    monkeypatch.setattr("retail_pulse.storage.table.time.monotonic", lambda: clock[0])
    monkeypatch.setattr(
        "retail_pulse.storage.table.time.sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds + 0.01)
    )
    return clock


@pytest.mark.usefixtures("clock")
def test_the_rest_of_a_batch_is_sent_again(dynamodb: "DynamoDBClient") -> None:
    def accept_one(RequestItems: dict[str, list[Any]]) -> dict[str, Any]:  # boto3's word
        first, *rest = RequestItems[TABLE]
        dynamodb.batch_write_item(RequestItems={TABLE: [first]})
        return {"UnprocessedItems": {TABLE: rest} if rest else {}}

    client = Mock()
    client.batch_write_item.side_effect = accept_one
    JobsTable(client, TABLE).put_chunks("n", CHUNKS, EXPIRES)
    assert client.batch_write_item.call_count == len(CHUNKS) == 2
    assert dynamodb.scan(TableName=TABLE)["Count"] == 2


@pytest.mark.usefixtures("clock")
def test_a_batch_that_is_never_accepted_fails_in_the_end() -> None:
    client = Mock()
    client.batch_write_item.side_effect = lambda RequestItems: {"UnprocessedItems": RequestItems}
    with pytest.raises(StorageUnavailableError, match="everything in time"):
        JobsTable(client, TABLE).put_chunks("n", CHUNKS, EXPIRES)
    assert client.batch_write_item.call_count > 5


@pytest.mark.usefixtures("clock")
def test_a_throttled_batch_is_sent_again(dynamodb: "DynamoDBClient") -> None:
    client = Mock(wraps=dynamodb)
    throttled = ClientError({"Error": {"Code": "ThrottlingException"}}, "BatchWriteItem")
    client.batch_write_item.side_effect = [*[throttled] * 6, DEFAULT]
    JobsTable(client, TABLE).put_chunks("n", CHUNKS, EXPIRES)
    assert dynamodb.scan(TableName=TABLE)["Count"] == 2


def test_all_batches_of_a_job_share_one_deadline(clock: list[float]) -> None:
    def accept_slowly(**_: Any) -> dict[str, Any]:
        clock[0] += 1
        return {"UnprocessedItems": {}}

    client = Mock()
    client.batch_write_item.side_effect = accept_slowly
    with pytest.raises(StorageUnavailableError, match="everything in time"):
        JobsTable(client, TABLE).put_chunks("n", cut([Visit("A", "t", ["u"] * 1000)], 1, 10**6), EXPIRES)
    # Sixteen are in flight: they end, and no other one begins.
    assert client.batch_write_item.call_count <= 12 + 16


@pytest.mark.parametrize("error", ["ProvisionedThroughputExceededException", "InternalServerError"])
def test_an_error_of_aws_is_an_error_of_the_domain(error: str) -> None:
    client = boto3.client("dynamodb")
    with Stubber(client) as stub:
        stub.add_client_error("get_item", error)
        with pytest.raises(StorageUnavailableError, match=error):
            JobsTable(client, TABLE).job("me", 1)


def test_a_network_failure_is_an_error_of_the_domain() -> None:
    client = Mock()
    client.get_item.side_effect = EndpointConnectionError(endpoint_url="http://nowhere")
    with pytest.raises(StorageUnavailableError, match="EndpointConnectionError"):
        JobsTable(client, TABLE).job("me", 1)


def rows_of(*clients: str) -> list[tuple[VisitRow, int]]:
    """Return thirty visit rows of each client: more than fit in a batch."""
    return [
        (VisitRow(client, 123, number, 1, 1, "A", "2026-11-23", 420, 3), EXPIRES)
        for client in clients
        for number in range(30)
    ]


@pytest.mark.usefixtures("clock")
def test_visit_rows_of_a_hot_partition_are_refused_without_those_of_others(dynamodb: "DynamoDBClient") -> None:
    # The clock is past the deadline as soon as one batch has waited, so all three must have begun before.
    begun, threads = Barrier(3), set[int]()

    def accept_alices(RequestItems: dict[str, list[Any]]) -> dict[str, Any]:  # boto3's word
        if get_ident() not in threads:
            threads.add(get_ident())
            begun.wait(30)
        accepted = [each for each in RequestItems[TABLE] if "#alice#" in each["PutRequest"]["Item"]["pk"]["S"]]
        if accepted:
            dynamodb.batch_write_item(RequestItems={TABLE: accepted})
        return {"UnprocessedItems": {TABLE: [each for each in RequestItems[TABLE] if each not in accepted]}}

    client = Mock()
    client.batch_write_item.side_effect = accept_alices
    rows = rows_of("mallory", "alice")
    refused = JobsTable(client, TABLE).put_visit_rows(rows, 1.0)
    assert sorted(row.visit for row in refused) == list(range(30))
    assert {row.client for row in refused} == {"mallory"}
    assert dynamodb.scan(TableName=TABLE)["Count"] == 30


@pytest.mark.usefixtures("clock")
def test_all_visit_rows_are_refused_when_dynamodb_accepts_nothing() -> None:
    client = Mock()
    client.batch_write_item.side_effect = ClientError({"Error": {"Code": "AccessDeniedException"}}, "BatchWriteItem")
    rows = rows_of("alice")
    assert len(JobsTable(client, TABLE).put_visit_rows(rows, 1.0)) == 30


def test_accepted_visit_rows_leave_none_refused(jobs_table: JobsTable) -> None:
    assert list(jobs_table.put_visit_rows(rows_of("alice"), 60.0)) == []
