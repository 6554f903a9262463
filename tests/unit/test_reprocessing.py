"""Jobs that stalled, whose last worker died, or whose failures are transient: the schedule's sweep ends them."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from retail_pulse.domain.errors import (
    IdempotencyMismatchError,
    InvalidRequestError,
    JobIsOpenError,
    JobNotFoundError,
    NothingToRetryError,
)
from retail_pulse.domain.failures import FailureCode
from retail_pulse.domain.idempotency import IdempotencyKey
from retail_pulse.domain.jobs import Job, JobStatus
from retail_pulse.domain.outcomes import Failure, Measured
from retail_pulse.domain.retries import RetryPolicy
from retail_pulse.domain.visits import Visit
from tests.support.fakes import Killed
from tests.support.world import BUSY, GONE, GOOD, ONE, STALL, World, down

ONE_ATTEMPT = RetryPolicy(1, 0)
SEVEN = Visit("A", "now", [f"image/{number}" for number in range(7)])
ORDER = IdempotencyKey.of("order-1", b"body")


@pytest.fixture
def world() -> World:
    return World()


def later(world: World, seconds: float = STALL) -> None:
    world.clock += timedelta(seconds=seconds)


def stalled(world: World, visit: Visit) -> Job:
    """Submit a job whose messages are lost, and wait until it has stalled."""
    job = world.submit(visit)
    world.queue.waiting.clear()
    later(world)
    return job


# ------------------------------------------------------------------ jobs that stalled


def test_a_job_without_a_message_is_accepted_and_ends_after_the_next_sweep(world: World) -> None:
    world.queue.refuses = True
    job = world.submit(SEVEN)
    assert (world.job(job).status, world.queue.waiting) == (JobStatus.ONGOING, [])
    world.queue.refuses = False
    assert world.sweep().sent == 3
    assert world.ended(job).status is JobStatus.COMPLETED


def test_only_the_chunks_that_are_missing_are_sent_again_and_only_once_they_stall(world: World) -> None:
    job = world.submit(SEVEN)
    lost = world.queue.waiting.pop().pointer
    world.run_out()
    assert world.sweep().swept == 0
    later(world)
    assert world.sweep().sent == 1
    assert world.queue.waiting[0].pointer.chunk == lost.chunk
    assert world.ended(job).status is JobStatus.COMPLETED
    assert len(world.fetched) == 7


def test_a_mere_backlog_is_not_doubled(world: World) -> None:
    world.submit(SEVEN)
    later(world)
    report = world.sweep()
    assert (report.waiting, report.sent, len(world.queue.waiting)) == (1, 0, 3)


def test_a_job_whose_messages_are_lost_is_sent_in_the_end_although_the_queue_is_full_of_others(world: World) -> None:
    world.submit(SEVEN)
    world.queue.waiting.clear()
    world.queue.others = 10**6
    sweeps = []
    while not world.queue.waiting:
        later(world, 3600)
        sweeps.append(world.sweep().sent)
    assert sweeps == [0, 3]


def test_two_sweeps_at_once_send_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    stalled(world, SEVEN)
    due = world.table.due_jobs
    second = []

    def sweep_within(now: int) -> Iterator[tuple[str, int]]:
        found = list(due(now))
        monkeypatch.setattr(world.table, "due_jobs", lambda now: iter(found))
        second.append(world.sweep())
        return iter(found)

    monkeypatch.setattr(world.table, "due_jobs", sweep_within)
    first = world.sweep()
    assert (first.sent, second[0].sent, len(world.queue.waiting)) == (0, 3, 3)


def test_a_sweep_that_overlaps_after_the_read_is_stopped_by_the_claim(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = stalled(world, SEVEN)
    claim = world.table.claim_job

    def claim_late(*read: Any) -> Job | None:
        monkeypatch.setattr(world.table, "claim_job", claim)
        assert world.sweep().sent == 3
        return claim(*read)

    monkeypatch.setattr(world.table, "claim_job", claim_late)
    assert (world.sweep().swept, len(world.queue.waiting)) == (0, 3)
    assert world.ended(job).status is JobStatus.COMPLETED


def test_a_job_whose_last_worker_died_before_its_end_is_ended(world: World) -> None:
    job = world.submit(Visit("A", "now", ["a", "b", "c"]), ONE)
    world.deliver(limit=1)
    world.table.faults.die_before = world.table.faults.writes + 4  # save, rows, add, close
    with pytest.raises(Killed):
        world.deliver()
    world.queue.waiting.clear()
    assert (world.job(job).all_done, world.job(job).status) == (True, JobStatus.ONGOING)
    later(world)
    assert [closed.job_id for closed in world.sweep().closed] == [job.job_id]
    assert world.job(job).status is JobStatus.COMPLETED


def test_a_sweep_whose_time_is_up_leaves_the_rest_to_the_next_one(world: World) -> None:
    for _ in range(3):
        stalled(world, ONE)
    answers = iter([True])
    report = world.reprocessing.sweep(lambda: next(answers, False))
    assert (report.swept, report.unfinished) == (1, True)
    rest = world.sweep()
    assert (rest.swept, rest.unfinished) == (2, False)


@pytest.mark.parametrize("refuser", ["table", "queue"])
def test_a_sweep_that_is_refused_is_repeated_by_the_next_one(world: World, refuser: str) -> None:
    job = stalled(world, ONE)
    if refuser == "table":
        world.table.faults.refuse = world.table.faults.writes + 1
    world.queue.refuses = refuser == "queue"
    assert world.sweep().refused == 1
    world.queue.refuses = False
    assert world.sweep().sent == 1
    assert world.ended(job).status is JobStatus.COMPLETED


# ------------------------------------------------------------------ ended jobs with transient failures


def test_an_ended_job_is_reopened_for_its_transient_failures_until_they_are_measured() -> None:
    world = World(down(BUSY, 2 * STALL, only="busy"), ONE_ATTEMPT, automatic_runs=5)
    job = world.submit(Visit("A", "now", ["busy", "good", "fine"]))
    statuses = [world.ended(job).status]
    while world.job(job).due is not None:
        later(world, 1)
        if world.sweep().reopened:
            statuses.append(world.job(job).status)
            world.run_out()
    # While the schedule's runs are open, the job's status stays as it was.
    assert statuses == [JobStatus.FAILED, JobStatus.FAILED, JobStatus.FAILED]
    assert (world.job(job).status, world.job(job).run) == (JobStatus.COMPLETED, 3)
    assert len(world.fetches_of("good")) == 1


def test_the_schedule_reopens_a_job_three_times_and_waits_longer_each_time() -> None:
    world = World(down(BUSY, 10**9), ONE_ATTEMPT, automatic_runs=3)
    job = world.submit(Visit("A", "now", ["busy"]))
    while (due := world.ended(job).due) is not None:
        later(world, due - world.clock.timestamp())
        world.sweep()
    assert world.fetches_of("busy") == [0, 900, 900 + 1800, 900 + 1800 + 3600]
    assert world.job(job).status is JobStatus.FAILED


def test_a_job_with_permanent_failures_is_not_reopened() -> None:
    world = World(down(GONE, 10**9), ONE_ATTEMPT, automatic_runs=3)
    ended = world.ended(world.submit(Visit("A", "now", ["gone"])))
    assert (ended.status, ended.due) == (JobStatus.FAILED, None)


# ------------------------------------------------------------------ a client's retry


def test_a_retry_fetches_only_the_failed_images_and_drops_messages_of_older_runs() -> None:
    world = World(down(GONE, 100, only="bad"), ONE_ATTEMPT)
    job = world.submit(Visit("A", "now", ["bad", "good", "fine", "other"]))
    older = list(world.queue.waiting)
    assert world.ended(job).status is JobStatus.FAILED
    later(world, 100)
    assert world.retrying.retry("me", job.job_id).run == 2
    assert (world.job(job).status, len(world.queue.waiting)) == (JobStatus.ONGOING, 1)
    newer, world.queue.waiting = world.queue.waiting, older
    _, report = world.deliver()
    # The chunk that the retry covers is still at run 1: its old message finds it done and its job in another run.
    assert report.measured == 0
    assert world.job(job).status is JobStatus.ONGOING
    world.queue.waiting = newer
    assert world.ended(job).status is JobStatus.COMPLETED
    assert [len(world.fetches_of(url)) for url in ("bad", "good", "fine", "other")] == [2, 1, 1, 1]


def test_a_retry_of_an_ongoing_a_completed_and_another_clients_job_is_refused(world: World) -> None:
    job = world.submit()
    with pytest.raises(JobIsOpenError, match="run 1"):
        world.retrying.retry("me", job.job_id)
    world.run_out()
    with pytest.raises(NothingToRetryError, match="no failed image"):
        world.retrying.retry("me", job.job_id)
    with pytest.raises(JobNotFoundError):
        world.retrying.retry("you", job.job_id)
    later(world, 91 * 86_400)
    with pytest.raises(JobNotFoundError):
        world.retrying.retry("me", job.job_id)


# ------------------------------------------------------------------ poison messages


def test_the_image_that_kills_its_workers_fails_and_all_others_are_measured() -> None:
    def measure(url: str, seconds: float) -> Measured:
        if url == "poison":
            raise Killed
        return GOOD

    world = World(measure)
    job = world.submit(Visit("A", "now", ["a", "poison", "b"]), Visit("B", "now", ["c"]))
    receives = 0
    while world.queue.waiting:
        receives += 1
        try:
            world.deliver(receives)
        except Killed:
            # As on Lambda: the next delivery comes after the lease of a worker that is gone.
            later(world, 1000)
    outcomes = world.outcomes(job)
    failed = outcomes.pop(1)
    assert isinstance(failed, Failure)
    assert (failed.code, outcomes) == (FailureCode.PROCESSING_ERROR, [GOOD, GOOD, GOOD])
    assert world.job(job).status is JobStatus.FAILED
    assert receives < 10


def test_a_refusal_of_the_table_does_not_count_against_an_image(world: World) -> None:
    job = world.submit(ONE)
    for receives in range(3, 13):
        world.table.faults.refuse = world.table.faults.writes + 2  # the claim is written, the save is refused
        world.deliver(receives)
        later(world, 1000)
    world.deliver(13)
    assert world.outcomes(job) == [GOOD]


# ------------------------------------------------------------------ idempotency keys


def test_a_submission_sent_again_makes_no_second_job_within_a_day(world: World) -> None:
    submit_once = world.submission.submit_once
    job = submit_once("me", [ONE], ORDER)
    assert submit_once("me", [ONE], ORDER).job_id == job.job_id
    assert len(world.queue.waiting) == 1
    with pytest.raises(IdempotencyMismatchError):
        submit_once("me", [ONE], IdempotencyKey.of("order-1", b"another"))
    # A key belongs to its client, and is free again after a day.
    assert submit_once("you", [ONE], ORDER).client == "you"
    later(world, 86_401)
    assert submit_once("me", [ONE], ORDER).job_id != job.job_id


@pytest.mark.parametrize("write", [1, 2, 3])
@pytest.mark.parametrize("moment", ["die_before", "die_after"])
def test_a_submission_that_died_is_completed_once_by_the_next_attempt(world: World, write: int, moment: str) -> None:
    setattr(world.table.faults, moment, write)  # the claim, the chunks, the job
    with pytest.raises(Killed):
        world.submission.submit_once("me", [ONE], ORDER)
    job = world.submission.submit_once("me", [ONE], ORDER)
    assert list(world.table.jobs) == [("me", job.job_id)]
    later(world)
    world.sweep()
    assert world.ended(job).status is JobStatus.COMPLETED


def test_idempotency_keys_are_visible_ascii() -> None:
    for name in ("", "a b", "ä", "x" * 256, "a\n"):
        with pytest.raises(InvalidRequestError, match="Idempotency-Key"):
            IdempotencyKey.of(name, b"")
