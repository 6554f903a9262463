"""Jobs that stalled, whose last worker died, or whose failures are transient: the schedule's sweep ends them."""

from datetime import timedelta

import pytest

from retail_pulse.domain.errors import (
    IdempotencyMismatchError,
    InvalidRequestError,
    JobIsOpenError,
    JobNotFoundError,
    NothingToRetryError,
)
from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.domain.idempotency import IdempotencyKey
from retail_pulse.domain.jobs import JobStatus
from retail_pulse.domain.outcomes import Failure, Measured
from retail_pulse.domain.retries import RetryPolicy
from retail_pulse.domain.visits import Visit
from tests.support.fakes import Killed
from tests.support.world import GOOD, STALL, World, down

ONE_ATTEMPT = RetryPolicy(1, 0)
BUSY = MeasuringError(FailureCode.HTTP_STATUS, "503 from the server", passing=True)
GONE = MeasuringError(FailureCode.HTTP_STATUS, "404 from the server", passing=False)
SEVEN = Visit("A", "now", [f"image/{number}" for number in range(7)])


def later(world: World, seconds: float = STALL) -> None:
    world.clock += timedelta(seconds=seconds)


# ------------------------------------------------------------------ jobs that stalled


def test_a_job_without_a_message_is_accepted_and_ends_after_the_next_sweep() -> None:
    world = World()
    world.queue.refuses = True
    job = world.submit(SEVEN)
    assert (world.job(job).status, world.queue.waiting) == (JobStatus.ONGOING, [])
    world.queue.refuses = False
    assert world.sweep().sent == 3
    world.run_out()
    assert world.job(job).status is JobStatus.COMPLETED


def test_only_the_chunks_that_are_missing_are_sent_again_and_only_once_they_stall() -> None:
    world = World()
    job = world.submit(SEVEN)
    lost = world.queue.waiting.pop().pointer
    world.run_out()
    assert world.sweep().swept == 0
    later(world)
    assert world.sweep().sent == 1
    assert world.queue.waiting[0].pointer.chunk == lost.chunk
    world.run_out()
    assert world.job(job).status is JobStatus.COMPLETED
    assert len(world.fetched) == 7


def test_a_mere_backlog_is_not_doubled() -> None:
    world = World()
    world.submit(SEVEN)
    later(world)
    report = world.sweep()
    assert (report.waiting, report.sent, len(world.queue.waiting)) == (1, 0, 3)


def test_a_job_whose_messages_are_lost_is_sent_in_the_end_although_the_queue_is_full_of_others() -> None:
    world = World()
    world.submit(SEVEN)
    world.queue.waiting.clear()
    world.queue.others = 10**6
    sweeps = []
    while not world.queue.waiting:
        later(world, 3600)
        sweeps.append(world.sweep().sent)
    assert sweeps == [0, 3]


def test_two_sweeps_at_once_send_once() -> None:
    world = World()
    world.submit(SEVEN)
    world.queue.waiting.clear()
    later(world)
    due = world.table.due_jobs
    second = []

    def sweep_within(now: int) -> object:
        found = list(due(now))
        world.table.due_jobs = lambda now: iter(found)  # type: ignore[method-assign]
        second.append(world.sweep())
        return iter(found)

    world.table.due_jobs = sweep_within  # type: ignore[method-assign, assignment]
    first = world.sweep()
    assert (first.sent, second[0].sent, len(world.queue.waiting)) == (0, 3, 3)


def test_a_sweep_that_overlaps_after_the_read_is_stopped_by_the_claim() -> None:
    world = World()
    job = world.submit(SEVEN)
    world.queue.waiting.clear()
    later(world)
    claim = world.table.claim_job

    def claim_late(job: object, due: int, wait: int) -> object:
        world.table.claim_job = claim  # type: ignore[method-assign]
        assert world.sweep().sent == 3
        return claim(job, due, wait)  # type: ignore[arg-type]

    world.table.claim_job = claim_late  # type: ignore[method-assign, assignment]
    assert (world.sweep().swept, len(world.queue.waiting)) == (0, 3)
    world.run_out()
    assert world.job(job).status is JobStatus.COMPLETED


def test_a_job_whose_last_worker_died_before_its_end_is_ended() -> None:
    world = World()
    job = world.submit(Visit("A", "now", ["a"]))
    world.table.faults.die_before = world.table.faults.writes + 4  # save, rows, add, close
    with pytest.raises(Killed):
        world.deliver()
    world.queue.waiting.clear()
    assert (world.job(job).all_done, world.job(job).status) == (True, JobStatus.ONGOING)
    later(world)
    assert world.sweep().closed == 1
    assert world.job(job).status is JobStatus.COMPLETED


def test_a_sweep_whose_time_is_up_leaves_the_rest_to_the_next_one() -> None:
    world = World()
    for _ in range(3):
        world.submit(Visit("A", "now", ["a"]))
    world.queue.waiting.clear()
    later(world)
    answers = iter([True])
    report = world.reprocessing.sweep(lambda: next(answers, False))
    assert (report.swept, report.unfinished) == (1, True)
    rest = world.sweep()
    assert (rest.swept, rest.unfinished) == (2, False)


def test_a_sweep_that_the_table_refuses_is_repeated_by_the_next_one() -> None:
    world = World()
    job = world.submit(Visit("A", "now", ["a"]))
    world.queue.waiting.clear()
    later(world)
    world.table.faults.refuse = world.table.faults.writes + 1
    assert world.sweep().refused == 1
    assert world.sweep().sent == 1
    world.run_out()
    assert world.job(job).status is JobStatus.COMPLETED


def test_a_sweep_that_the_queue_refuses_is_repeated_by_the_next_one() -> None:
    world = World()
    job = world.submit(Visit("A", "now", ["a"]))
    world.queue.waiting.clear()
    later(world)
    world.queue.refuses = True
    assert world.sweep().refused == 1
    world.queue.refuses = False
    assert world.sweep().sent == 1
    world.run_out()
    assert world.job(job).status is JobStatus.COMPLETED


# ------------------------------------------------------------------ ended jobs with transient failures


def test_an_ended_job_is_reopened_for_its_transient_failures_until_they_are_measured() -> None:
    world = World(down(BUSY, 2 * STALL, only="busy"), ONE_ATTEMPT, automatic_runs=5)
    job = world.submit(Visit("A", "now", ["busy", "good", "fine"]))
    world.run_out()
    statuses = [world.job(job).status]
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
    world.run_out()
    while (due := world.job(job).due) is not None:
        later(world, due - world.clock.timestamp())
        world.sweep()
        world.run_out()
    assert world.fetches_of("busy") == [0, 900, 900 + 1800, 900 + 1800 + 3600]
    assert world.job(job).status is JobStatus.FAILED


def test_a_job_with_permanent_failures_is_not_reopened() -> None:
    world = World(down(GONE, 10**9), ONE_ATTEMPT, automatic_runs=3)
    job = world.submit(Visit("A", "now", ["gone"]))
    world.run_out()
    assert (world.job(job).status, world.job(job).due) == (JobStatus.FAILED, None)


# ------------------------------------------------------------------ a client's retry


def test_a_retry_fetches_only_the_failed_images_and_drops_messages_of_older_runs() -> None:
    world = World(down(GONE, 100, only="bad"), ONE_ATTEMPT)
    job = world.submit(Visit("A", "now", ["bad", "good", "fine", "other"]))
    older = list(world.queue.waiting)
    world.run_out()
    assert world.job(job).status is JobStatus.FAILED
    later(world, 100)
    assert world.retrying.retry("me", job.job_id).run == 2
    assert (world.job(job).status, len(world.queue.waiting)) == (JobStatus.ONGOING, 1)
    newer, world.queue.waiting = world.queue.waiting, older
    _, report = world.deliver()
    # The chunk that the retry covers is still at run 1: its old message finds it done and its job in another run.
    assert report.measured == 0
    assert world.job(job).status is JobStatus.ONGOING
    world.queue.waiting = newer
    world.run_out()
    assert world.job(job).status is JobStatus.COMPLETED
    assert [len(world.fetches_of(url)) for url in ("bad", "good", "fine", "other")] == [2, 1, 1, 1]


def test_a_retry_of_an_ongoing_a_completed_and_another_clients_job_is_refused() -> None:
    world = World()
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
        if url == "killer":
            raise Killed
        return GOOD

    world = World(measure)
    job = world.submit(Visit("A", "now", ["a", "killer", "b"]), Visit("B", "now", ["c"]))
    receives = 0
    while world.queue.waiting:
        receives += 1
        try:
            world.deliver(receives)
        except Killed:
            # As on Lambda: the next delivery comes after the lease of a worker that is gone.
            later(world, 1000)
    outcomes = world.outcomes(job)
    assert [type(outcome) for outcome in outcomes] == [Measured, Failure, Measured, Measured]
    assert isinstance(outcomes[1], Failure)
    assert outcomes[1].code is FailureCode.PROCESSING_ERROR
    assert world.job(job).status is JobStatus.FAILED
    assert receives < 10


def test_a_refusal_of_the_table_does_not_count_against_an_image() -> None:
    world = World()
    job = world.submit(Visit("A", "now", ["a"]))
    for receives in range(3, 13):
        world.table.faults.refuse = world.table.faults.writes + 2  # the claim is written, the save is refused
        world.deliver(receives)
        later(world, 1000)
    world.deliver(13)
    assert world.outcomes(job) == [GOOD]


# ------------------------------------------------------------------ idempotency keys


def test_a_submission_sent_again_makes_no_second_job_within_a_day() -> None:
    world = World()
    key = IdempotencyKey.of("order-1", b"body")
    visits = [Visit("A", "now", ["a"])]
    job = world.submission.submit_once("me", visits, key)
    assert world.submission.submit_once("me", visits, key).job_id == job.job_id
    assert len(world.queue.waiting) == 1
    with pytest.raises(IdempotencyMismatchError):
        world.submission.submit_once("me", visits, IdempotencyKey.of("order-1", b"another"))
    # A key belongs to its client, and is free again after a day.
    assert world.submission.submit_once("you", visits, key).client == "you"
    later(world, 86_401)
    assert world.submission.submit_once("me", visits, key).job_id != job.job_id


@pytest.mark.parametrize("write", [1, 2, 3])
@pytest.mark.parametrize("moment", ["die_before", "die_after"])
def test_a_submission_that_died_is_completed_once_by_the_next_attempt(write: int, moment: str) -> None:
    world = World()
    key = IdempotencyKey.of("order-1", b"body")
    setattr(world.table.faults, moment, write)  # the claim, the chunks, the job
    with pytest.raises(Killed):
        world.submission.submit_once("me", [Visit("A", "now", ["a"])], key)
    job = world.submission.submit_once("me", [Visit("A", "now", ["a"])], key)
    assert list(world.table.jobs) == [("me", job.job_id)]
    later(world)
    world.sweep()
    world.run_out()
    assert world.job(job).status is JobStatus.COMPLETED


def test_idempotency_keys_are_visible_ascii() -> None:
    for name in ("", "a b", "ä", "x" * 256, "a\n"):
        with pytest.raises(InvalidRequestError, match="Idempotency-Key"):
            IdempotencyKey.of(name, b"")
