"""Writes of retries and of the schedule: one contract for DynamoDB (on moto) and for the table in memory."""

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from local.lambda_host.table import TABLE
from retail_pulse.domain.chunks import Chunk, ChunkKey, Scope, cut
from retail_pulse.domain.idempotency import Claim
from retail_pulse.domain.jobs import ChunkVerdict, Job, JobStatus, Reopening
from retail_pulse.domain.retries import Attempts
from retail_pulse.domain.visits import Visit
from retail_pulse.storage import items
from retail_pulse.storage.jobs_table import JobsTable
from tests.adapters import test_jobs_table
from tests.adapters.test_jobs_table import GOOD, KEY, NOW, TRANSIENT

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

DUE = int(NOW.timestamp())
EXPIRES = DUE + 90 * 86_400
JOB = replace(test_jobs_table.JOB, due=DUE, wait=900, expires_at=EXPIRES, idempotency_key="order")
CLAIM = Claim("me", "order", "hash", 123, DUE + 86_400)
# The table in memory and the one on moto.
table = test_jobs_table.table


@pytest.fixture
def chunk(table: JobsTable) -> Chunk:
    table.put_chunks("n", cut([Visit("A", "t", ["a", "b", "c"])], 3, 10**6), EXPIRES)
    return table.chunks([KEY])[KEY]


@pytest.fixture
def job(table: JobsTable) -> Job:
    table.put_job(JOB)
    return JOB


# ------------------------------------------------------------------ chunks


def test_requeuing_saves_and_begins_the_next_turn_once(table: JobsTable, chunk: Chunk) -> None:
    attempts = {1: Attempts(2, DUE + 0.25, DUE + 7.5)}
    requeued = table.requeue_chunk(KEY, chunk, {0: GOOD}, attempts)
    assert requeued == replace(chunk, turn=1, outcomes={0: GOOD}, attempts=attempts)
    assert table.chunks([KEY])[KEY] == requeued
    # The same turn again comes from another worker, too late.
    assert table.requeue_chunk(KEY, chunk, {2: GOOD}, {}) is None
    more = {2: Attempts(1, DUE, DUE)}
    later = table.requeue_chunk(KEY, requeued, {0: TRANSIENT}, more)
    assert later == replace(requeued, turn=2, attempts=attempts | more)


def test_requeuing_releases_the_lease_of_a_chunk(table: JobsTable, chunk: Chunk) -> None:
    started = table.claim_exclusively(KEY, chunk, 1, 2, 5000, 1000)
    assert started == replace(chunk, starting=1, starts=2, lease=5000)
    assert table.requeue_chunk(KEY, started, {0: GOOD}, {}) == replace(chunk, turn=1, outcomes={0: GOOD})


def test_a_run_begins_without_the_attempts_and_turns_of_the_last_one(table: JobsTable, chunk: Chunk) -> None:
    requeued = table.requeue_chunk(KEY, chunk, {0: TRANSIENT}, {1: Attempts(2, DUE, DUE)})
    assert requeued is not None
    assert table.reopen_chunk(KEY, requeued, 2, [0]) == replace(chunk, run=2)
    assert table.requeue_chunk(KEY, requeued, {0: GOOD}, {}) is None


def test_a_chunk_belongs_to_one_worker_until_its_lease_ends(table: JobsTable, chunk: Chunk) -> None:
    first = table.claim_exclusively(KEY, chunk, None, 1, 5000, 1000)
    assert first == replace(chunk, starts=1, starting=None, lease=5000)
    assert table.claim_exclusively(KEY, chunk, None, 1, 6000, 4999) is None
    # The owner may renew the lease, image by image; another worker takes over when it has ended.
    own = table.claim_exclusively(KEY, first, 0, 2, 5000, 4999)
    assert own == replace(chunk, starts=2, starting=0, lease=5000)
    other = table.claim_exclusively(KEY, chunk, 0, 3, 9000, 5000)
    assert other == replace(chunk, starts=3, starting=0, lease=9000)
    assert table.claim_exclusively(ChunkKey("gone", 0), chunk, None, 1, 5000, 1000) is None
    assert table.chunks([ChunkKey("gone", 0)]) == {}


# ------------------------------------------------------------------ jobs


def test_a_due_job_is_found_claimed_once_and_due_again_later(table: JobsTable, job: Job) -> None:
    assert list(table.due_jobs(DUE - 1)) == []
    assert list(table.due_jobs(DUE)) == [("me", 123)]
    table.add_chunks("me", 123, 1, [ChunkVerdict(0, failed=False, transient=False)])
    read = table.job("me", 123)
    assert read is not None
    assert table.claim_job(read, DUE + 1800, 1800) == replace(read, due=DUE + 1800, wait=1800, done_at_sweep=1)
    assert table.claim_job(read, DUE + 1800, 1800) is None
    assert list(table.due_jobs(DUE)) == []


def test_the_longest_due_of_a_shard_comes_first(table: JobsTable) -> None:
    for job_id, due in ((8, DUE - 5), (16, DUE - 50), (24, DUE + 1)):
        table.put_job(replace(JOB, job_id=job_id, due=due, nonce=f"n{job_id}"))
    assert list(table.due_jobs(DUE)) == [("me", 16), ("me", 8)]


def test_an_open_job_can_be_marked_due_and_an_ended_one_cannot(table: JobsTable, job: Job) -> None:
    table.mark_due(job, DUE - 60)
    assert table.job("me", 123) == replace(job, due=DUE - 60, wait=0)
    ended = table.close_job(job, JobStatus.COMPLETED, NOW, None)
    table.mark_due(job, DUE - 60)
    table.mark_due(replace(job, job_id=999), DUE - 60)
    assert table.job("me", 123) == ended
    assert ended is not None
    assert ended.due is None
    assert table.job("me", 999) is None


def test_an_ended_job_is_opened_once_for_the_next_run(table: JobsTable, job: Job) -> None:
    verdicts = [ChunkVerdict(0, False, False), ChunkVerdict(1, True, True), ChunkVerdict(2, True, False)]
    table.add_chunks("me", 123, 1, verdicts)
    reopening = Reopening(frozenset({1}), Scope.TRANSIENT, JobStatus.FAILED, 1, DUE + 900, 900)
    assert table.reopen_job(job, reopening) is None  # it has not ended
    ended = table.close_job(job, JobStatus.FAILED, NOW, DUE + 60)
    assert ended is not None
    assert ended.due == DUE + 60
    opened = table.reopen_job(ended, reopening)
    assert opened == replace(
        JOB, run=2, scope=Scope.TRANSIENT, open=True, status=JobStatus.FAILED, done=frozenset({0, 2}),
        failed=frozenset({2}), automatic=1, due=DUE + 900, wait=900, done_at_sweep=2, ended_at=NOW,
    )  # fmt: skip
    assert table.reopen_job(ended, reopening) is None
    assert table.job("me", 123) == opened


def test_a_job_that_its_client_opens_again_has_no_end(table: JobsTable, job: Job) -> None:
    table.add_chunks("me", 123, 1, [ChunkVerdict(number, True, False) for number in range(3)])
    ended = table.close_job(job, JobStatus.FAILED, NOW, None)
    assert ended is not None
    everything = Reopening(frozenset(range(3)), Scope.ALL, JobStatus.ONGOING, 0, DUE, 900)
    assert table.reopen_job(ended, everything) == replace(JOB, run=2)


def test_a_clients_retries_are_counted_in_the_job_and_a_run_of_the_schedule_keeps_them(table: JobsTable) -> None:
    table.put_job(replace(JOB, open=False, failed=frozenset({0}), done=frozenset({0, 1, 2})))
    chunks = frozenset({0})
    for run, retries, retried_at in ((1, 1, NOW), (2, None, None), (3, 2, NOW + timedelta(seconds=60))):
        read = table.job("me", 123)
        assert read is not None
        of_client = Reopening(chunks, Scope.ALL, JobStatus.ONGOING, 0, DUE, 900, retries, retried_at)
        opened = table.reopen_job(read, of_client)
        assert opened is not None
        expected = (retries or 1, retried_at or NOW)
        assert (opened.run, opened.retries, opened.retried_at) == (run + 1, *expected)
        assert table.reopen_job(read, of_client) is None
        table.close_job(opened, JobStatus.FAILED, NOW, None)


def test_a_job_without_the_attributes_of_retries_has_none(dynamodb: "DynamoDBClient", jobs_table: JobsTable) -> None:
    item = dict(items.job_item(JOB))
    assert "retried_at" not in item
    del item["retries"]
    dynamodb.put_item(TableName=TABLE, Item=item)
    assert jobs_table.job("me", 123) == JOB


# ------------------------------------------------------------------ claims


def test_a_key_belongs_to_the_first_claim_until_it_expires(table: JobsTable) -> None:
    assert table.put_claim(CLAIM, DUE) == CLAIM
    second = CLAIM._replace(body_hash="other", job_id=456, expires_at=CLAIM.expires_at + 60)
    assert table.put_claim(second, CLAIM.expires_at - 1) == CLAIM
    assert table.put_claim(second._replace(client="you"), DUE).job_id == 456
    assert table.put_claim(second, CLAIM.expires_at) == second


def test_a_claim_moves_to_another_job_once(table: JobsTable) -> None:
    table.put_claim(CLAIM, DUE)
    assert table.move_claim(CLAIM, 456).job_id == 456
    # Another attempt that saw the same clash gets the id that the first one chose.
    assert table.move_claim(CLAIM, 789).job_id == 456
    assert table.put_claim(CLAIM, DUE).job_id == 456
    assert timedelta(seconds=CLAIM.expires_at - DUE) == timedelta(days=1)
