"""A batch of several clients: what one client sends or breaks does not hold up another one's job."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import Mock

import pytest

from retail_pulse.domain.jobs import Job, JobStatus
from retail_pulse.domain.outcomes import Measured
from retail_pulse.domain.visits import Visit
from retail_pulse.use_cases import finishing, processing
from retail_pulse.use_cases.batch import BatchReport, Delivery
from tests.support.fakes import pool_of
from tests.support.waiting import END_SECONDS, wait_until
from tests.support.world import BUSY, GOOD, RETRIES, World, down

ONE_OF_ALICE = Visit("A", "2026-11-23", ["quick/1"])


class Gate:
    """An image server whose ``slow`` images wait until the test lets them go."""

    def __init__(self) -> None:
        self.goes_on = threading.Event()

    def measure(self, url: str, _seconds: float) -> Measured:
        if url.startswith("slow"):
            assert self.goes_on.wait(30)
        return GOOD


@pytest.fixture
def gate() -> Gate:
    return Gate()


def world_of(gate: Gate, **kwargs: float) -> World:
    return World(gate.measure, pool=lambda fetch: pool_of(fetch, 4), **kwargs)  # type: ignore[arg-type]


@contextmanager
def delivering(world: World, gate: Gate) -> Iterator[list[BatchReport]]:
    """Process a batch in a thread; at the end, let the slow images go, and wait for it."""
    reports: list[BatchReport] = []
    worker = threading.Thread(target=lambda: reports.append(world.deliver()[1]))
    worker.start()
    try:
        yield reports
    finally:
        gate.goes_on.set()
        worker.join(30)
    assert not worker.is_alive()


def has_ended(world: World, job: Job) -> bool:
    return not world.job(job).open


def test_a_quick_clients_job_ends_while_a_slow_clients_images_of_the_same_batch_do_not(gate: Gate) -> None:
    world = world_of(gate)
    slow = world.submit(Visit("A", "2026-11-23", ["slow/1", "slow/2", "slow/3"]), client="mallory")
    quick = world.submit(ONE_OF_ALICE, client="alice")
    with delivering(world, gate) as reports:
        wait_until(lambda: has_ended(world, quick), END_SECONDS)
        assert not reports
        assert not has_ended(world, slow)
    assert world.job(quick).status is world.job(slow).status is JobStatus.COMPLETED


def test_a_quick_chunk_is_finished_while_a_slow_one_of_the_same_job_is_not(gate: Gate) -> None:
    world = world_of(gate)
    job = world.submit(Visit("A", "a", ["slow/1", "slow/2", "slow/3"]), Visit("B", "b", ["quick/1"]))
    with delivering(world, gate):
        wait_until(lambda: world.job(job).done == {1}, END_SECONDS)
        assert [row.visit for row in world.table.rows.values()] == [1]
    assert world.job(job).status is JobStatus.COMPLETED


def test_what_is_measured_is_saved_while_a_neighbour_in_the_chunk_is_slow(gate: Gate) -> None:
    world = world_of(gate)
    job = world.submit(Visit("A", "2026-11-23", ["quick/1", "slow/2", "quick/3"]))
    with delivering(world, gate) as reports:
        wait_until(lambda: world.outcomes(job) == [GOOD, None, GOOD], END_SECONDS)
        assert not reports
    assert world.job(job).status is JobStatus.COMPLETED
    (report,) = reports
    assert report.measured == 3
    assert len(world.fetched) == 3


def test_a_part_that_the_table_refuses_is_saved_later(gate: Gate) -> None:
    world = world_of(gate)
    job = world.submit(Visit("A", "2026-11-23", ["quick/1", "slow/2"]))
    world.table.faults.refuse = world.table.faults.writes + 1
    with delivering(world, gate) as reports:
        wait_until(lambda: world.outcomes(job) == [GOOD, None], END_SECONDS)
    (report,) = reports
    assert (report.measured, report.failed_messages) == (2, set())
    assert world.job(job).status is JobStatus.COMPLETED


def test_after_its_time_a_batch_starts_no_image_and_requeues_the_rest(gate: Gate) -> None:
    # Long enough for four threads to begin, also on a busy machine.
    world = world_of(gate, start_seconds=2.0)
    world.chunk_images = 3
    job = world.submit(*(Visit("A", "now", [f"slow/{n}"]) for n in range(9)))
    with delivering(world, gate) as reports:
        wait_until(lambda: len(world.queue.waiting) == 1, END_SECONDS)  # the chunk that no thread had begun
        assert not reports
    (report,) = reports
    assert (report.measured, report.requeued) == (4, 2)
    assert sorted(world.fetched_urls()) == [f"slow/{n}" for n in range(4)]
    assert world.ended(job).status is JobStatus.COMPLETED
    assert len(world.fetched) == 9


def test_poison_messages_have_a_time_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(start_seconds=0.5)
    # Every image takes a second, so the first message uses up its time.
    monkeypatch.setattr(processing, "time", Mock(monotonic=lambda: float(len(world.fetched))))
    jobs = [world.submit(Visit("A", "now", [url])) for url in ("first", "poison")]
    first, poison = (message.pointer for message in world.queue.waiting)
    report = world.processing.process([Delivery("first", first, 1), Delivery("poison", poison, 3)])
    assert (report.measured, report.failed_messages) == (2, set())
    assert {world.job(job).status for job in jobs} == {JobStatus.COMPLETED}


def test_visit_rows_that_the_table_refuses_hold_up_only_the_client_they_are_of() -> None:
    world = World()
    refused = world.submit(Visit("A", "2026-11-23", ["a"]), client="mallory")
    job = world.submit(ONE_OF_ALICE, client="alice")
    world.table.refused_clients = {"mallory"}
    pointers, report = world.deliver()
    assert world.job(job).status is JobStatus.COMPLETED
    assert len(report.failed_messages) == 1
    assert not world.job(refused).done
    world.table.refused_clients = set()
    assert world.ended(refused).status is JobStatus.COMPLETED
    assert len(world.fetched) == len(pointers) == 2


def test_refused_visit_rows_are_written_again_within_the_batch(gate: Gate) -> None:
    world = world_of(gate)
    refused = world.submit(Visit("A", "2026-11-23", ["quick/1"]), client="mallory")
    world.submit(Visit("A", "2026-11-23", ["slow/1"]), client="alice")
    world.table.refused_clients = {"mallory"}
    with delivering(world, gate) as reports:
        wait_until(lambda: all(chunk.is_done for chunk in world.table.stored.values() if chunk.outcomes), END_SECONDS)
        world.table.refused_clients = set()
        wait_until(lambda: has_ended(world, refused), END_SECONDS)
    assert reports[0].failed_messages == set()


def test_chunks_of_a_job_that_are_done_together_share_one_update(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finishing, "_MAX_WAIT_SECONDS", 60.0)
    world = World(max_unsaved_seconds=60.0)
    job = world.submit(*(Visit("A", "now", [f"{n}/{i}" for i in range(3)]) for n in range(5)))
    before = world.table.faults.writes
    world.deliver()
    assert world.job(job).status is JobStatus.COMPLETED
    # Five saves, the rows, and the sets together with the end.
    assert world.table.faults.writes - before == 5 + 2


@pytest.mark.parametrize("earlier_version", [False, True])
def test_a_job_ends_with_two_updates_when_a_batch_does_not_decide_its_end(earlier_version: bool) -> None:
    world = World(down(BUSY, 10**6, only="flaky"), RETRIES._replace(max_attempts=1), automatic_runs=1)
    job = world.submit(Visit("A", "now", ["good" if earlier_version else "flaky"]))
    if earlier_version:
        (message,) = world.queue.waiting
        message.pointer = message.pointer._replace(chunks=0)
    before = world.table.faults.writes
    world.deliver()
    # The save, the rows, the sets, the end; only a transient failure is swept again.
    assert world.table.faults.writes - before == 4
    ended = world.job(job)
    assert (ended.open, ended.due is None) == (False, earlier_version)


def test_a_wait_of_more_than_a_second_hides_no_measured_neighbour() -> None:
    world = World(down(BUSY, 60, only="flaky"), RETRIES)
    job = world.submit(Visit("A", "2026-11-23", ["good/1", "flaky/1"]))
    world.deliver()
    assert world.outcomes(job) == [GOOD, None]
