"""When a job was submitted: what it says of itself, and what lists find it by, are the same."""

from datetime import datetime, timedelta

import pytest

from retail_pulse.domain.errors import StorageUnavailableError
from retail_pulse.domain.idempotency import IdempotencyKey
from retail_pulse.domain.jobs import Job, submitted_at
from retail_pulse.domain.periods import Period
from retail_pulse.domain.visits import Visit
from tests.support.world import World

VISITS = [Visit("A", "now", ["a"])]
KEY = IdempotencyKey("order-1", "hash")


class SlowWorld(World):
    """A world in which time passes, as every request to the table takes some."""

    def now(self) -> datetime:
        self.clock += timedelta(milliseconds=7)
        return self.clock


def assert_found(job: Job) -> None:
    """Check that the period from a job's time on has it, and the one up to this time does not."""
    first, _ = Period(start=job.created_at).job_ids
    _, last = Period(end=job.created_at).job_ids
    assert last < job.job_id
    assert first <= job.job_id
    assert job.created_at == submitted_at(job.job_id)


def test_a_job_is_listed_from_its_own_time_on() -> None:
    world = SlowWorld()
    assert_found(world.submission.submit("me", VISITS))
    assert_found(world.submission.submit_once("me", VISITS, KEY))


def test_a_job_whose_first_attempt_failed_has_the_time_of_that_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()

    def refuse(*_: object) -> None:
        raise StorageUnavailableError("ThrottlingException")

    with monkeypatch.context() as refusing:
        refusing.setattr(world.table, "put_chunks", refuse)
        with pytest.raises(StorageUnavailableError):
            world.submission.submit_once("me", VISITS, KEY)
    before = world.clock
    world.clock += timedelta(hours=1)
    job = world.submission.submit_once("me", VISITS, KEY)
    assert job.created_at == before
    assert_found(job)
