"""How many invocations follow from one message: process sends to its own queue, and Lambda's guard is off."""

from datetime import timedelta
from itertools import count

from retail_pulse.domain.chunks import MAX_TURNS_IN_A_CHAIN
from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.domain.jobs import JobStatus
from retail_pulse.domain.outcomes import Measured
from retail_pulse.domain.retries import RetryPolicy
from retail_pulse.domain.visits import Visit
from tests.support.world import BUSY, ONE, World, down

# Lambda's default.
GUARDED_HOPS = 16
FOREVER = 10**9.0
ALWAYS_AGAIN = RetryPolicy(10**6, FOREVER, first_wait_seconds=1, max_wait_seconds=1, inline_wait_seconds=0)


def hops(world: World) -> int:
    """Deliver until the queue is empty, at most for two chains; return the number of invocations."""
    done = 0
    while done < 2 * MAX_TURNS_IN_A_CHAIN and (visible_at := world.queue.next_visible_at()) is not None:
        world.clock = max(world.clock, visible_at)
        world.deliver()
        done += 1
    return done


def test_an_outage_of_many_hosts_takes_more_hops_than_lambdas_guard_allows() -> None:
    # GIVEN two images of one chunk, whose servers ask for different waits for five minutes
    waits = {"a": 30.0, "b": 45.0}

    def measure(url: str, seconds: float) -> Measured:
        asking = MeasuringError(FailureCode.HTTP_STATUS, "429", passing=True, retry_after=waits[url])
        return down(asking, 300.0)(url, seconds)

    world = World(measure)
    job = world.submit(Visit("A", "now", ["a", "b"]))
    assert hops(world) > GUARDED_HOPS
    assert world.job(job).status is JobStatus.COMPLETED


def test_a_chain_ends_even_if_a_chunk_is_requeued_for_days() -> None:
    world = World(down(BUSY, FOREVER), ALWAYS_AGAIN)
    world.submit(ONE)
    assert hops(world) == MAX_TURNS_IN_A_CHAIN


def test_the_next_sweep_starts_a_new_chain_and_the_job_ends() -> None:
    chains = 3
    # One attempt per hop, so the first one of the last chain succeeds.
    attempts = count(1)
    failing = chains * MAX_TURNS_IN_A_CHAIN
    world = World(lambda url, _: down(BUSY, failing)(url, next(attempts) - 1), ALWAYS_AGAIN)
    job = world.submit(ONE)
    for _ in range(chains):
        assert hops(world) == MAX_TURNS_IN_A_CHAIN
        assert world.job(job).status is JobStatus.ONGOING
        world.clock += timedelta(days=1)
        assert world.sweep().sent == 1
    assert hops(world) == 1
    assert world.job(job).status is JobStatus.COMPLETED
