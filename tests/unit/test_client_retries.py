"""A client's retries of a job: spaced, and limited in number."""

from dataclasses import replace
from datetime import timedelta

import pytest

from retail_pulse.domain.errors import JobIsOpenError, NothingToRetryError, RetriedTooSoonError, RetriesUsedUpError
from retail_pulse.domain.jobs import ClientRetryPolicy, Job, JobStatus
from retail_pulse.domain.retries import RetryPolicy
from tests.support.world import BUSY, ONE, STALL, START, World, down

ONE_ATTEMPT = RetryPolicy(1, 0)


@pytest.fixture
def world() -> World:
    """A world whose image server is down, with the service's own policy."""
    world = World(down(BUSY, 10**9), ONE_ATTEMPT, automatic_runs=1)
    world.retrying = replace(world.retrying, policy=ClientRetryPolicy())
    return world


def failed(world: World) -> Job:
    job = world.ended(world.submit(ONE))
    assert job.status is JobStatus.FAILED
    return job


def test_a_job_is_retried_at_once_and_then_at_most_once_a_minute(world: World) -> None:
    job = failed(world)
    assert world.retrying.retry("me", job.job_id).retries == 1
    with pytest.raises(JobIsOpenError):
        world.retrying.retry("me", job.job_id)
    world.run_out()
    world.clock = START + timedelta(seconds=17.5)
    with pytest.raises(RetriedTooSoonError, match=f"job {job.job_id} may be retried every 60 s; .* in 43 s") as raised:
        world.retrying.retry("me", job.job_id)
    assert raised.value.seconds == 43
    world.clock = START + timedelta(seconds=60)
    assert (world.retrying.retry("me", job.job_id).retries, world.job(job).retried_at) == (2, world.clock)


def test_a_job_is_retried_ten_times(world: World) -> None:
    job = failed(world)
    for _ in range(10):
        world.clock += timedelta(seconds=60)
        world.retrying.retry("me", job.job_id)
        world.run_out()
    world.clock += timedelta(days=1)
    with pytest.raises(RetriesUsedUpError, match="was retried 10 times; the limit is 10"):
        world.retrying.retry("me", job.job_id)
    assert len(world.fetches_of("a")) == 11


def test_runs_of_the_schedule_are_not_counted_and_keep_the_count(world: World) -> None:
    job = failed(world)
    world.retrying.retry("me", job.job_id)
    world.run_out()
    world.clock += timedelta(seconds=STALL)
    assert world.sweep().reopened == 1
    world.run_out()
    assert (world.job(job).run, world.job(job).retries, world.job(job).retried_at) == (3, 1, START)
    assert world.retrying.retry("me", job.job_id).retries == 2


def test_a_job_without_failures_has_nothing_to_retry_however_often_it_was_retried() -> None:
    world = World(down(BUSY, 1), ONE_ATTEMPT)
    world.retrying = replace(world.retrying, policy=ClientRetryPolicy(max_retries=1))
    job = failed(world)
    world.clock += timedelta(seconds=1)
    world.retrying.retry("me", job.job_id)
    assert world.ended(job).status is JobStatus.COMPLETED
    with pytest.raises(NothingToRetryError):
        world.retrying.retry("me", job.job_id)


def test_one_of_two_retries_at_once_opens_the_job_and_counts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    job = failed(world)
    reopen = world.table.reopen_job

    def reopen_late(*how: object) -> Job | None:
        monkeypatch.setattr(world.table, "reopen_job", reopen)
        world.retrying.retry("me", job.job_id)
        world.run_out()
        return reopen(*how)  # type: ignore[arg-type]

    monkeypatch.setattr(world.table, "reopen_job", reopen_late)
    with pytest.raises(JobIsOpenError):
        world.retrying.retry("me", job.job_id)
    assert (world.job(job).run, world.job(job).retries) == (2, 1)
