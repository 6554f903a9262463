"""A pending image says how often it was attempted, why the last attempt failed, and when the next one may start."""

from typing import Any

from retail_pulse.api.answers import results_answer
from retail_pulse.domain.jobs import Job
from retail_pulse.domain.retries import RetryPolicy
from retail_pulse.domain.visits import Visit
from retail_pulse.use_cases.image_rows import Position
from tests.support.world import BUSY, GONE, START, World, down

TWO_ATTEMPTS = RetryPolicy(2, 1800, first_wait_seconds=10, inline_wait_seconds=0)
NOTHING = {"last_error": None, "next_attempt_at": None}
ERROR = {"code": "http_status", "message": "503 from the server"}


def shown(world: World, job: Job) -> list[dict[str, Any]]:
    rows = results_answer(world.reading.results("me", job.job_id, Position(0, 0), 10))["results"]
    return [{name: row[name] for name in ("outcome", "attempts", *NOTHING)} for row in rows]


def test_a_new_image_has_no_attempts() -> None:
    world = World()
    job = world.submit()
    assert shown(world, job) == [{"outcome": "pending", "attempts": 0} | NOTHING] * 3


def test_an_image_that_waits_says_why_and_until_when() -> None:
    world = World(down(BUSY, 60, only="b"), TWO_ATTEMPTS)
    job = world.submit()
    world.deliver()
    measured = {"outcome": "measured", "attempts": None} | NOTHING
    waiting = {"outcome": "pending", "attempts": 1, "last_error": ERROR, "next_attempt_at": "2026-11-23T12:00:10.000Z"}
    assert shown(world, job) == [measured, waiting, measured]


def test_a_failed_image_has_the_number_of_its_attempts() -> None:
    world = World(down(GONE, 60), TWO_ATTEMPTS)
    job = world.submit(Visit("A", "t", ["a"]), Visit("unknown", "t", ["b"]))
    world.run_out()
    assert shown(world, job) == [{"outcome": "failed", "attempts": count} | NOTHING for count in (1, 0)]


def test_the_attempts_of_earlier_runs_count() -> None:
    world = World(down(BUSY, 10**6), TWO_ATTEMPTS)
    job = world.submit(Visit("A", "t", ["a"]))
    world.run_out()
    # GIVEN a failed job that its client retries
    world.retrying.retry("me", job.job_id)

    # THEN it shows what happened before: until its message arrives, and while it waits
    assert shown(world, job) == [{"outcome": "pending", "attempts": 2, "last_error": ERROR, "next_attempt_at": None}]
    world.deliver()
    (row,) = shown(world, job)
    assert (row["outcome"], row["attempts"], row["last_error"]) == ("pending", 3, ERROR)
    assert row["next_attempt_at"] > START.isoformat()
