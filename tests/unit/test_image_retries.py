"""Transient failures are retried, at the right time, and nothing else is fetched twice."""

from datetime import timedelta
from itertools import pairwise
from unittest.mock import Mock

import pytest

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.domain.jobs import Job, JobStatus
from retail_pulse.domain.outcomes import Failure, Measured
from retail_pulse.domain.retries import Attempts, RetryPolicy
from retail_pulse.domain.visits import Visit
from tests.support.fakes import pool_of
from tests.support.world import BUSY, GONE, GOOD, ONE, START, World, down

TWO_MINUTES = 120.0


def ran(world: World) -> Job:
    """Submit a job of one image, deliver all messages, and read the job."""
    return world.ended(world.submit(ONE))


def failure(status: int, attempts: int, *, transient: bool) -> Failure:
    return Failure(FailureCode.HTTP_STATUS, f"{status} from the server", transient, attempts)


def asking_for(seconds: float) -> MeasuringError:
    return MeasuringError(FailureCode.HTTP_STATUS, "429 from the server", passing=True, retry_after=seconds)


def test_a_server_that_is_down_for_two_minutes_costs_nothing_that_was_measured() -> None:
    world = World(down(BUSY, TWO_MINUTES, only="flaky"))
    job = world.submit(Visit("A", "now", ["good/1", "flaky/1", "flaky/2", "good/2", "good/3"]))
    assert world.ended(job).status is JobStatus.COMPLETED
    assert [len(world.fetches_of(f"good/{number}")) for number in (1, 2, 3)] == [1, 1, 1]
    for url in ("flaky/1", "flaky/2"):
        *failed, last = world.fetches_of(url)
        assert all(at < TWO_MINUTES for at in failed)
        assert TWO_MINUTES <= last < 2 * TWO_MINUTES + 1


@pytest.mark.parametrize("draw", [0.0, 0.5, 1.0])
def test_no_draw_spends_all_attempts_within_two_minutes_or_waits_much_longer(draw: float) -> None:
    world = World(down(BUSY, TWO_MINUTES), draw=lambda: draw)
    assert ran(world).status is JobStatus.COMPLETED
    assert world.fetches_of("a")[-1] < 2.2 * TWO_MINUTES


def test_the_waits_double_and_are_spent_in_the_queue() -> None:
    world = World(down(BUSY, TWO_MINUTES))
    ran(world)
    assert [round(later - sooner) for sooner, later in pairwise(world.fetches_of("a"))] == [1, 2, 4, 8, 16, 32, 64]
    assert world.queue.delays == [0, 1, 2, 4, 8, 16, 32, 64]


def test_no_attempt_starts_before_its_time_even_if_the_message_comes_earlier() -> None:
    world = World(down(asking_for(60), 30))
    job = world.submit(ONE)
    world.deliver()
    message = world.queue.waiting.pop()
    assert (message.visible_at - START).total_seconds() >= 60
    world.queue.put_back([message.pointer])
    _, report = world.deliver()
    assert (report.measured, report.requeued, len(world.fetched)) == (0, 1, 1)
    assert world.ended(job).status is JobStatus.COMPLETED
    assert all(at >= 60 for at in world.fetches_of("a")[1:])


def test_a_server_can_ask_for_the_longest_wait_at_most() -> None:
    world = World(down(asking_for(10**9), 10))
    ran(world)
    assert world.fetches_of("a") == [0, 900]


def test_a_permanent_failure_is_not_retried() -> None:
    world = World(down(GONE, 10**6))
    assert world.outcomes(ran(world)) == [
        Failure(FailureCode.HTTP_STATUS, "404 from the server", is_transient=False, attempts=1)
    ]
    assert len(world.fetched) == 1


@pytest.mark.parametrize(
    ("retries", "attempts"),
    [
        (RetryPolicy(3, 1800, 1, 900, 0), 3),
        (RetryPolicy(100, 10, 1, 900, 0), 4),  # after 0, 1, 3 and 7 seconds; the next one would be after 15
    ],
)
def test_an_image_fails_after_its_attempts_or_its_time(retries: RetryPolicy, attempts: int) -> None:
    world = World(down(BUSY, 10**6), retries)
    job = ran(world)
    assert world.outcomes(job) == [
        Failure(FailureCode.HTTP_STATUS, "503 from the server", is_transient=True, attempts=attempts)
    ]
    assert len(world.fetched) == attempts
    assert job.status is JobStatus.FAILED


def test_a_short_wait_is_spent_within_the_invocation() -> None:
    measure = Mock(side_effect=[BUSY, GOOD])
    retries = RetryPolicy(3, 1800, first_wait_seconds=0.001, inline_wait_seconds=5)
    world = World(measure, retries, pool=lambda fetch: pool_of(fetch, 4))
    job = world.submit(ONE)
    _, report = world.deliver()
    assert (report.measured, report.retried, report.requeued) == (1, 1, 0)
    assert world.queue.delays == [0]
    assert world.job(job).status is JobStatus.COMPLETED


def test_when_time_is_short_what_is_measured_is_saved_and_the_rest_requeued() -> None:
    world = World()
    job = world.submit(Visit("A", "now", ["a", "b", "c"]))
    _, report = world.deliver(may_start=lambda: len(world.fetched) < 2)
    assert (report.measured, report.requeued, report.failed_messages) == (2, 1, set())
    assert len(set(world.fetched_urls())) == 2
    assert world.ended(job).status is JobStatus.COMPLETED
    assert sorted(world.fetched_urls()) == ["a", "b", "c"]


def test_a_doubled_message_is_dropped_after_its_first_turn() -> None:
    world = World(down(BUSY, TWO_MINUTES))
    job = world.submit(ONE)
    world.queue.put_back([world.queue.waiting[0].pointer] * 2)
    assert world.ended(job).status is JobStatus.COMPLETED
    # Three are delivered at once; afterwards there is one message for all of them.
    assert world.queue.delays == [0, 1, 2, 4, 8, 16, 32, 64]


@pytest.mark.parametrize("copies", [2, 3])
def test_every_message_at_once_and_late_again_gives_the_same_table(copies: int) -> None:
    visits = [Visit("A", "now", ["flaky/1", "good/1", "bad/1", "good/2"]), Visit("B", "now", ["good/3"])]

    def measure(url: str, seconds: float) -> Measured:
        if url.startswith("bad"):
            raise GONE
        return down(BUSY, 5, only="flaky")(url, seconds)

    once, often = World(measure), World(measure)
    job, again = once.submit(*visits), often.submit(*visits)
    ended = once.ended(job)
    late = []
    while (visible_at := often.queue.next_visible_at()) is not None:
        often.clock = max(often.clock, visible_at)
        pointers, _ = often.deliver(copies=copies)
        late += pointers
    often.queue.put_back(late)
    twin = often.ended(again)
    assert often.outcomes(again) == once.outcomes(job)
    rows = [[row._replace(job_id=0) for row in world.table.rows.values()] for world in (once, often)]
    assert rows[0] == rows[1]
    assert (twin.status, twin.done, twin.failed, twin.transient) == (
        ended.status, ended.done, ended.failed, ended.transient,
    )  # fmt: skip


def test_the_waits_are_drawn_from_the_upper_half_of_their_bound() -> None:
    retries = RetryPolicy(12, 1800, first_wait_seconds=2, max_wait_seconds=10)
    assert [not_before(retries, None, 100, draw) for draw in (0.0, 0.5, 1.0)] == [101, 101.5, 102]
    assert not_before(retries, Attempts(9, 100, 0), 150) == 160
    # A nonsensical count in the table does not lead to a huge number.
    assert not_before(RetryPolicy(10**9, 1800, 1), Attempts(10**6, 100, 0), 150) == 1050


@pytest.mark.parametrize(("draw", "wait"), [(0.0, 0.5), (1.0, 1.5)])
def test_a_server_that_asks_for_no_wait_is_not_asked_again_at_once(draw: float, wait: float) -> None:
    after = RetryPolicy(12, 1800).after_failure(None, asking_for(0), 100, draw)
    assert isinstance(after, Attempts)
    assert after.not_before == 100 + wait


def not_before(retries: RetryPolicy, attempts: Attempts | None, now: float, draw: float = 1.0) -> float:
    after = retries.after_failure(attempts, BUSY, now, draw)
    assert isinstance(after, Attempts)
    return after.not_before


# ------------------------------------------------------------------ attempts of all runs, and attempts put off


def test_the_attempts_of_all_runs_are_bounded_and_then_the_failure_is_final() -> None:
    world = World(down(BUSY, 10**9), RetryPolicy(2, 1800, 1, 900, 0, max_total_attempts=4), automatic_runs=10)
    job = world.submit(ONE)
    for _ in range(10):
        world.run_out()
        world.clock += timedelta(hours=2)
        world.sweep()
    assert len(world.fetched) == 4
    assert world.outcomes(job) == [
        Failure(FailureCode.HTTP_STATUS, "503 from the server", is_transient=False, attempts=4)
    ]
    # The client may ask again, and is told the same, without a request to the server.
    world.retrying.retry("me", job.job_id)
    assert world.ended(job).status is JobStatus.FAILED
    assert len(world.fetched) == 4
    assert world.outcomes(job) == [
        Failure(FailureCode.HTTP_STATUS, "503 from the server", is_transient=False, attempts=4)
    ]


def test_a_later_run_waits_as_the_first_one_and_keeps_the_number_of_attempts() -> None:
    world = World(down(BUSY, TWO_MINUTES), RetryPolicy(3, 1800, 1, 900, 0), automatic_runs=1)
    job = world.submit(ONE)
    world.run_out()
    world.clock += timedelta(hours=1)
    world.sweep()
    (chunk,) = world.table.stored.values()
    assert world.ended(job).status is JobStatus.COMPLETED
    assert len(world.fetched) == 4
    (chunk,) = world.table.stored.values()
    assert chunk.attempts[0].earlier == 3


def test_what_is_put_off_costs_no_attempt_but_ends_in_time() -> None:
    resting = MeasuringError(FailureCode.TIMEOUT, "h timed out", passing=True, retry_after=60, costs_attempt=False)
    retries = RetryPolicy(3, 300, 1, 900, 5)
    attempts: Attempts | None = None
    now = 1000.0
    for _ in range(4):
        after = retries.after_failure(attempts, resting, now, 1.0)
        assert isinstance(after, Attempts)
        assert (after.count, after.since, after.not_before) == (0, 1000.0, now + 61)
        attempts, now = after, after.not_before
    assert retries.after_failure(attempts, resting, now, 1.0) == Failure(
        FailureCode.TIMEOUT, "h timed out", is_transient=True
    )
