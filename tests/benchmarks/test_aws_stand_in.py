"""The stand-in for AWS: the contract of the table, the same answers as moto, and units by DynamoDB's rules."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from moto import mock_aws

from benchmarks.harness.processes import made_in_new_process
from benchmarks.world.aws_stand_in.capacity import Index, read_units, size, write_units
from benchmarks.world.aws_stand_in.errors import RefusedError
from benchmarks.world.aws_stand_in.expressions import condition_holds, updated
from benchmarks.world.aws_stand_in.server import AwsStandIn
from local.lambda_host.table import create_queue, create_table
from retail_pulse.domain.chunks import ChunkKey, Pointer, Scope, cut
from retail_pulse.domain.errors import JobIdTakenError, StorageUnavailableError
from retail_pulse.domain.idempotency import Claim
from retail_pulse.domain.jobs import ChunkVerdict, JobStatus, Reopening
from retail_pulse.domain.retries import Attempts
from retail_pulse.domain.usage import DailyLimitError
from retail_pulse.domain.visits import Visit, VisitRow
from retail_pulse.storage.jobs_table import JobsTable
from retail_pulse.storage.queue import PointerQueue
from retail_pulse.storage.usage_table import UsageTable

# The adapters' tests that need no index also run here, against the stand-in: `table` below replaces their fixture.
from tests.adapters.test_jobs_table import (  # noqa: F401
    BAD,
    EXPIRES,
    GOOD,
    JOB,
    KEY,
    NOW,
    test_a_job_comes_back_as_it_was_stored_and_belongs_to_its_client,
    test_a_job_is_closed_once_and_only_in_its_run,
    test_a_save_of_another_run_or_of_a_missing_chunk_is_refused_and_creates_nothing,
    test_adding_a_chunk_twice_changes_nothing_and_sets_stay_apart,
    test_all_fifty_images_are_saved_in_one_write,
    test_an_id_is_taken_once_but_the_same_attempt_may_ask_twice,
    test_an_image_keeps_the_outcome_that_it_has,
    test_chunks_come_back_as_they_were_stored_and_missing_ones_are_left_out,
    test_more_chunks_than_a_batch_holds_are_written_and_read,
    test_reopening_removes_the_named_outcomes_and_happens_once,
)
from tests.adapters.test_retrying_writes import (  # noqa: F401
    chunk,
    job,
    test_a_chunk_belongs_to_one_worker_until_its_lease_ends,
    test_a_claim_moves_to_another_job_once,
    test_a_clients_retries_are_counted_in_the_job_and_a_run_of_the_schedule_keeps_them,
    test_a_job_that_its_client_opens_again_has_no_end,
    test_a_key_belongs_to_the_first_claim_until_it_expires,
    test_a_run_begins_without_the_attempts_and_turns_of_the_last_one,
    test_an_open_job_can_be_marked_due_and_an_ended_one_cannot,
    test_requeuing_releases_the_lease_of_a_chunk,
    test_requeuing_saves_and_begins_the_next_turn_once,
)

TABLE = "jobs"
# moto answers with the last two in any case.
_NOT_ASKED_FOR = {"ResponseMetadata", "ItemCollectionMetrics", "ConsumedCapacity"}


@pytest.fixture(scope="module")
def aws() -> Iterator[AwsStandIn]:
    with made_in_new_process(AwsStandIn, seconds=0) as stand_in:
        yield stand_in


@pytest.fixture
def dynamodb(aws: AwsStandIn) -> Any:
    """A client, of an empty table."""
    client = boto3.client("dynamodb", endpoint_url=aws.url(), config=Config(retries={"total_max_attempts": 1}))
    create_table(client, TABLE)
    aws.throttle(None)
    aws.reset()
    return client


@pytest.fixture
def table(dynamodb: Any) -> JobsTable:
    return JobsTable(dynamodb, TABLE)


class Recorder:
    """A client that keeps every answer, and what was refused."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.answers: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        def call(**request: Any) -> Any:
            try:
                answer = getattr(self._client, name)(**request)
            except ClientError as error:
                refusal = {"code": error.response["Error"]["Code"], "item": error.response.get("Item")}
                self.answers.append((name, comparable(refusal)))
                raise
            self.answers.append((name, comparable(answer)))
            return answer

        return call


def comparable(value: Any) -> Any:
    """Drop transport fields, fields that were not asked for, and the order of sets and of a batch's items."""
    if isinstance(value, dict):
        kept = {name: comparable(each) for name, each in value.items() if name not in _NOT_ASKED_FOR}
        return {name: sorted(each) if name in ("NS", "SS") else each for name, each in kept.items()}
    if isinstance(value, list):
        several = [comparable(each) for each in value]
        return sorted(several, key=str) if value and isinstance(value[0], dict) and "pk" in value[0] else several
    return value


def every_step(client: Any) -> list[Any]:
    """Run every step of the protocol, with conditions that hold and conditions that do not."""
    recorder = Recorder(client)
    any_client: Any = recorder
    table = JobsTable(any_client, TABLE)
    table.put_chunks("n", cut([Visit("A", "t", ["a", "b", "c"]), Visit("B", "ü", ["d"])], 3, 10**6), EXPIRES)
    table.put_job(JOB)
    with pytest.raises(JobIdTakenError):
        table.put_job(replace(JOB, nonce="other"))
    claim = Claim("me", "order", "hash", 123, EXPIRES)
    table.put_claim(claim, EXPIRES - 1)
    table.put_claim(claim, EXPIRES - 1)
    table.move_claim(claim, 456)
    table.move_claim(claim, 789)
    read = table.chunks([KEY, ChunkKey("gone", 1)])[KEY]
    table.save_chunk(KEY, 1, {0: GOOD})
    table.save_chunk(KEY, 9, {0: GOOD})
    handed = table.requeue_chunk(KEY, read, {0: BAD}, {1: Attempts(1, 5, 6)})
    table.requeue_chunk(KEY, read, {}, {2: Attempts(1, 5, 6)})
    assert handed is not None
    table.claim_exclusively(KEY, handed, 1, 2, 5000, 1000)
    table.claim_exclusively(KEY, handed, None, 2, 5000, 1000)
    table.reopen_chunk(KEY, handed, 2, [0])
    table.put_visit_rows([(VisitRow("me", 123, 0, 1, 1, "A", "2026-11-23", 420, 3), EXPIRES)], 60.0)
    verdicts = [ChunkVerdict(0, failed=False, transient=False), ChunkVerdict(2, failed=True, transient=True)]
    table.add_chunks("me", 123, 1, verdicts)
    table.add_chunks("me", 123, 2, verdicts)
    ended = table.close_job(JOB, JobStatus.FAILED, NOW, EXPIRES)
    assert ended is not None
    table.reopen_job(ended, Reopening(frozenset({1}), Scope.TRANSIENT, JobStatus.ONGOING, 1, EXPIRES, 900))
    reopened = table.job("me", 123)
    assert reopened is not None
    table.claim_job(reopened, EXPIRES + 1, 1800)
    table.put_job(replace(JOB, job_id=124))
    table.close_at_once("me", 124, 1, verdicts, JobStatus.FAILED, NOW)
    table.close_at_once("me", 124, 1, verdicts, JobStatus.FAILED, NOW)
    count_usage(UsageTable(any_client, TABLE))
    table.mark_due(reopened, EXPIRES)
    table.job("me", 999)
    for wrong in ("SET #out.i00 = :one", "SET nothing.i00 = :one", "ADD done_chunks :one", "DELETE images :one"):
        with pytest.raises(ClientError):
            any_client.update_item(
                TableName=TABLE,
                Key={"pk": {"S": "JOB#me#123"}, "sk": {"S": "JOB"}},
                UpdateExpression=wrong,
                ExpressionAttributeValues={":one": {"N": "1"}},
                **({"ExpressionAttributeNames": {"#out": "out"}} if "#" in wrong else {}),
            )
    return recorder.answers


def count_usage(table: UsageTable) -> None:
    table.add_usage("me", NOW, 3, 1, limit=5)
    with pytest.raises(DailyLimitError):
        table.add_usage("me", NOW, 3, 1, limit=5)
    table.add_usage("me", NOW, -3, 0)


def test_every_step_is_answered_as_moto_answers_it(dynamodb: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def take_steps(client: Any) -> list[Any]:
        marks = count()
        monkeypatch.setattr("retail_pulse.storage.table.secrets.token_urlsafe", lambda _: f"mark {next(marks)}")
        return every_step(client)

    with mock_aws():
        client = boto3.client("dynamodb")
        create_table(client, TABLE)
        of_moto = take_steps(client)
    assert take_steps(dynamodb) == of_moto


# ------------------------------------------------------------------ the queue


def queue_steps(client: Any, url: str) -> list[Any]:
    """Send, receive, delete and count."""
    pointers = [Pointer("me", 123, "n", number, 1, Scope.ALL) for number in range(12)]
    queue = PointerQueue(client, url)
    queue.send(pointers)
    queue.send(pointers[:1], delay_seconds=900)
    seen: list[Any] = [queue.backlog()]
    # The two batches are sent side by side: which of them comes first is left open.
    bodies = []
    for _ in range(2):
        found = client.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"])
        messages = found["Messages"]
        bodies += [(message["Body"], message["Attributes"]["ApproximateReceiveCount"]) for message in messages]
        entries = [{"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]} for n, each in enumerate(messages)]
        deleted = client.delete_message_batch(QueueUrl=url, Entries=entries)
        seen.append(sorted(each["Id"] for each in deleted["Successful"]))
    seen.append(client.receive_message(QueueUrl=url).get("Messages"))
    return [*seen, sorted(bodies), queue.backlog()]


def test_the_queue_gives_what_moto_gives(aws: AwsStandIn) -> None:
    with mock_aws():
        client = boto3.client("sqs")
        of_moto = queue_steps(client, create_queue(client, "chunks"))
    aws.reset()
    client = boto3.client("sqs", endpoint_url=aws.url())
    assert queue_steps(client, create_queue(client, "chunks")) == of_moto
    counts = aws.counts().sqs
    assert (counts["SendMessageBatch"].calls, counts["SendMessageBatch"].messages) == (3, 13)
    assert (counts["ReceiveMessage"].calls, counts["DeleteMessageBatch"].requests) == (3, 2)


def test_a_message_comes_again_when_its_visibility_is_over(aws: AwsStandIn) -> None:
    client = boto3.client("sqs", endpoint_url=aws.url())
    url = create_queue(client, "again")
    PointerQueue(client, url).send([Pointer("me", 123, "n", 0, 1, Scope.ALL)])
    assert client.receive_message(QueueUrl=url, VisibilityTimeout=0)["Messages"]
    (again,) = client.receive_message(QueueUrl=url, MessageSystemAttributeNames=["All"])["Messages"]
    assert again["Attributes"]["ApproximateReceiveCount"] == "2"


def test_the_call_that_hides_messages_is_counted(aws: AwsStandIn) -> None:
    client = boto3.client("sqs", endpoint_url=aws.url())
    url = create_queue(client, "hidden")
    queue = PointerQueue(client, url)
    queue.send([Pointer("me", 123, "n", 0, 1, Scope.ALL)])
    (message,) = client.receive_message(QueueUrl=url, VisibilityTimeout=0)["Messages"]
    aws.reset()
    queue.hide({message["ReceiptHandle"]: 90})
    assert "Messages" not in client.receive_message(QueueUrl=url)
    counts = aws.counts().sqs["ChangeMessageVisibilityBatch"]
    assert (counts.calls, counts.requests, counts.messages) == (1, 1, 1)
    queue.hide({message["ReceiptHandle"]: 0})
    assert client.receive_message(QueueUrl=url)["Messages"]


# ------------------------------------------------------------------ units


def test_sizes_are_the_published_ones() -> None:
    assert size({"pk": {"S": "ü"}, "n": {"N": "1050"}, "zero": {"N": "0"}, "minus": {"N": "-7"}}) == 4 + 4 + 5 + 8
    assert size({"l": {"L": [{"S": "ab"}, {"BOOL": True}]}}) == 1 + 3 + (2 + 1) + (1 + 1)
    assert size({"m": {"M": {"a": {"N": "123"}}}, "s": {"NS": ["1", "22", "333"]}}) == 1 + 3 + 1 + 1 + 3 + 1 + 2 + 2 + 3
    assert size({"b": {"B": "AAAA"}}) == 1 + 3


def test_the_larger_item_counts_and_nothing_is_free() -> None:
    small, large = {"a": {"S": "x" * 1023}}, {"a": {"S": "x" * 1024}}
    assert [write_units(None, small), write_units(None, large), write_units(large, small)] == [1, 2, 2]
    assert [read_units(None), read_units({"a": {"S": "x" * 4095}}), read_units({"a": {"S": "x" * 4096}})] == [1, 1, 2]


def test_an_index_pays_for_what_it_holds_alone() -> None:
    index = Index("by_due", ("due",), frozenset({"pk", "due", "status"}))
    item = {"pk": {"S": "a"}, "due": {"N": "5"}, "status": {"S": "ongoing"}, "other": {"S": "x" * 5000}}
    later, ended = item | {"due": {"N": "6"}}, {name: value for name, value in item.items() if name != "due"}
    unlisted, failed = item | {"other": {"S": "y"}}, item | {"status": {"S": "failed"}}
    assert [index.write_units(item, after) for after in (unlisted, failed, later, ended)] == [0, 1, 2, 1]
    assert [index.write_units(None, after) for after in (item, ended)] == [1, 0]


def test_calls_and_units_are_counted_by_kind_also_where_a_condition_fails(aws: AwsStandIn, table: JobsTable) -> None:
    table.put_chunks("n", cut([Visit("A", "t", ["u" * 2000] * 3)], 3, 10**6), EXPIRES)
    table.save_chunk(KEY, 1, {0: GOOD})
    table.save_chunk(KEY, 9, {0: GOOD})
    table.chunks([KEY, ChunkKey("gone", 0)])
    table.put_job(JOB)
    counts = aws.counts().dynamodb
    batch, update = counts["BatchWriteItem", "CHUNK"], counts["UpdateItem", "CHUNK"]
    assert (batch.calls, batch.items, update.calls) == (1, 1, 2)
    # The update that is refused pays for the item that it finds.
    assert update.write_units == 2 * batch.write_units
    assert counts["BatchGetItem", "CHUNK"].read_units == batch.write_units // 4 + 1 + 1
    put = counts["PutItem", "JOB"]
    assert (put.write_units, put.units_of_index, put.index_write_units) == (1, {"by_client": 1, "by_due": 1}, 2)


# ------------------------------------------------------------------ refusals and time


def test_writes_beyond_the_throttle_are_handed_back_and_come_through_in_the_end(
    aws: AwsStandIn, table: JobsTable
) -> None:
    chunks = cut([Visit("A", "t", ["u"] * 40)], 1, 10**6)
    aws.throttle(100)
    table.put_chunks("n", chunks, EXPIRES)
    assert len(table.chunks([ChunkKey("n", number) for number in range(40)])) == 40
    assert aws.counts().dynamodb["BatchWriteItem", "CHUNK"].calls > 2


def test_a_table_that_takes_nothing_refuses(aws: AwsStandIn, table: JobsTable) -> None:
    aws.throttle(0)
    with pytest.raises(StorageUnavailableError, match="ProvisionedThroughputExceededException"):
        table.put_job(JOB)


def test_an_item_or_a_batch_that_is_too_large_is_refused(dynamodb: Any) -> None:
    item = {"pk": {"S": "CHUNK#n#0"}, "sk": {"S": "CHUNK"}, "text": {"S": "x" * 409_600}}
    with pytest.raises(ClientError, match="maximum allowed size"):
        dynamodb.put_item(TableName=TABLE, Item=item)
    requests = [{"PutRequest": {"Item": {"pk": {"S": str(n)}, "sk": {"S": "A"}}}} for n in range(26)]
    with pytest.raises(ClientError, match="Too many"):
        dynamodb.batch_write_item(RequestItems={TABLE: requests})


@pytest.mark.parametrize(("apply", "name", "text"), [
    *((updated, "UpdateExpression", text) for text in (
        "", "SET a", "SET a = b +", "SET a = :b ADD", "DROP a", "SET a[0] = :b", "SET #a = :b", "SET a = :b + :b",
        "DELETE a :b",
    )),
    *((condition_holds, "ConditionExpression", text) for text in (
        "", "a =", "a = :b AND", "a <> :b", "a BETWEEN :b AND :b", "#a = :b", "size(a) = :b",
    )),
])  # fmt: skip
def test_an_invalid_or_unsupported_expression_is_refused(apply: Callable[..., Any], name: str, text: str) -> None:
    with pytest.raises(RefusedError, match="ValidationException"):
        apply({name: text, "ExpressionAttributeValues": {":b": {"N": "1"}}}, {"a": {"N": "1"}})


def test_no_answer_waits_for_another() -> None:
    with made_in_new_process(AwsStandIn, seconds=0.5) as slow:
        client = boto3.client("dynamodb", endpoint_url=slow.url(), config=Config(max_pool_connections=20))
        create_table(client, TABLE)
        with ThreadPoolExecutor(20) as threads:
            list(threads.map(lambda _: JobsTable(client, TABLE).job("me", 1), range(20)))
        counts = slow.counts()
        assert counts.dynamodb["GetItem", "JOB"].calls == 20
        assert counts.max_at_once > 10
