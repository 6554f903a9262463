"""Lines of the use cases that are about a job: each has the client and the job as fields, so that a query finds it."""

import logging
from collections.abc import Callable
from datetime import timedelta

import pytest

from retail_pulse.domain.retries import RetryPolicy
from retail_pulse.domain.visits import Visit
from tests.support.world import BUSY, ONE, STALL, World, down


def refused_submission(world: World) -> None:
    world.queue.refuses = True
    world.submit(ONE)


def stalled(world: World) -> None:
    world.submit(ONE)
    world.queue.waiting.clear()
    world.clock += timedelta(seconds=STALL)
    world.sweep()


def refused_sweep(world: World) -> None:
    world.submit(ONE)
    world.clock += timedelta(seconds=STALL)
    world.table.faults.refuse = world.table.faults.writes + 1
    world.sweep()


def refused_batch(world: World) -> None:
    world.submit(ONE)
    world.table.faults.refuse = world.table.faults.writes + 1
    world.deliver()


def delivery(world: World) -> None:
    world.submit(Visit("A", "now", ["a"]))
    world.deliver()


@pytest.mark.parametrize(
    ("happen", "message"),
    [
        (refused_submission, "waits for reprocess"),
        (stalled, "pointers sent again"),
        (refused_sweep, "is due again"),
        (refused_batch, "is delivered again"),
        (delivery, "delivered"),
    ],
)
def test_a_line_about_a_job_has_its_client_and_id(
    caplog: pytest.LogCaptureFixture, happen: Callable[[World], None], message: str
) -> None:
    world = World()
    with caplog.at_level(logging.DEBUG, "retail_pulse"):
        happen(world)
    (job,) = world.table.jobs.values()
    found = [vars(record) for record in caplog.records if message in record.getMessage()]
    assert found
    assert {(line["client"], line["job_id"]) for line in found} == {("me", job.job_id)}


def test_a_job_that_is_reopened_and_an_attempt_that_is_repeated_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    world = World(down(BUSY, 3600), RetryPolicy(2, 300, inline_wait_seconds=0), automatic_runs=1)
    job = world.submit(ONE)
    with caplog.at_level(logging.DEBUG, "retail_pulse"):
        world.run_out()
        world.clock += timedelta(days=1)
        world.sweep()
    lines = {record.getMessage(): vars(record) for record in caplog.records}
    repeated, reopened = lines["attempted again later"], lines["reopened"]
    assert (repeated["job_id"], repeated["code"], repeated["image"]) == (job.job_id, BUSY.code, 0)
    assert (reopened["client"], reopened["job_id"], reopened["run"]) == ("me", job.job_id, 2)
