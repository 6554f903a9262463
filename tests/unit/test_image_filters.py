"""Filters of results: what they leave, which chunks they read, and that paging ends."""

from collections.abc import Collection, Iterator

import pytest

from retail_pulse.domain.chunks import Chunk, ChunkKey
from retail_pulse.domain.jobs import Job
from retail_pulse.domain.visits import Visit
from retail_pulse.use_cases.image_rows import MAX_PAGE_CHUNKS, ImageFilter, Position, ResultRow
from retail_pulse.use_cases.shown import OutcomeKind
from tests.support.world import GONE, World, down

FAILED, MEASURED, PENDING = OutcomeKind.FAILED, OutcomeKind.MEASURED, OutcomeKind.PENDING


def pages(world: World, job: Job, limit: int, wanted: ImageFilter) -> Iterator[list[ResultRow]]:
    start: Position | None = Position(0, 0)
    while start is not None:
        page = world.reading.results("me", job.job_id, start, limit, wanted)
        yield page.rows
        start = page.next_position


def urls(world: World, job: Job, wanted: ImageFilter, limit: int = 1000) -> list[str]:
    return [row.shown.image.url for page in pages(world, job, limit, wanted) for row in page]


def count_reads(world: World, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets the number of every chunk that is read."""
    read: list[int] = []
    original = world.table.chunks

    def chunks(keys: Collection[ChunkKey]) -> dict[ChunkKey, Chunk]:
        read.extend(key.number for key in keys)
        return original(keys)

    monkeypatch.setattr(world.table, "chunks", chunks)
    return read


@pytest.fixture
def world() -> World:
    """A world in which the images fail whose URLs begin with x."""
    return World(down(GONE, 10**6, only="x"))


@pytest.mark.parametrize("limit", [1, 2, 5, 1000])
def test_filters_leave_their_rows_once_in_order(world: World, limit: int) -> None:
    job = world.submit(Visit("A", "t", ["a", "xb", "c", "d"]), Visit("B", "t", ["e", "xf"]), Visit("C", "t", ["g"]))
    assert urls(world, job, ImageFilter(frozenset({PENDING}), "B"), limit) == ["e", "xf"]
    world.run_out()
    assert urls(world, job, ImageFilter(frozenset({FAILED})), limit) == ["xb", "xf", "g"]
    assert urls(world, job, ImageFilter(frozenset({MEASURED})), limit) == ["a", "c", "d", "e"]
    assert urls(world, job, ImageFilter(frozenset({MEASURED, FAILED}), "A"), limit) == ["a", "xb", "c", "d"]
    assert urls(world, job, ImageFilter(frozenset({FAILED}), "B"), limit) == ["xf"]
    assert urls(world, job, ImageFilter(frozenset({PENDING})), limit) == []
    assert urls(world, job, ImageFilter(area="7100015"), limit) == ["a", "xb", "c", "d", "e", "xf"]


def test_failed_images_are_read_from_the_chunks_that_have_some(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    job = world.submit(Visit("A", "t", [("x" if number in {40, 200} else "a") + f"{number}" for number in range(300)]))
    world.run_out()
    read = count_reads(world, monkeypatch)
    assert urls(world, job, ImageFilter(frozenset({FAILED}))) == ["x40", "x200"]
    assert read == [13, 66]
    read.clear()
    assert urls(world, job, ImageFilter(frozenset({PENDING}))) == []
    assert read == []


def test_a_failed_image_shows_before_its_chunk_is_done_and_is_pending_when_it_is_retried(world: World) -> None:
    job = world.submit(Visit("A", "t", ["a", "xb"]), Visit("A", "t", ["xc"]))
    world.run_out()
    world.retrying.retry("me", job.job_id)
    assert urls(world, job, ImageFilter(frozenset({FAILED}))) == []
    assert urls(world, job, ImageFilter(frozenset({PENDING}))) == ["xb", "xc"]
    world.run_out()
    assert urls(world, job, ImageFilter(frozenset({FAILED}))) == ["xb", "xc"]


def test_a_filter_that_matches_nothing_ends_after_pages_of_bounded_reads(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = world.submit(Visit("A", "t", [f"{number}" for number in range(3 * (2 * MAX_PAGE_CHUNKS + 1))]))
    read = count_reads(world, monkeypatch)
    found = []
    for page in pages(world, job, 10, ImageFilter(store_id="B")):
        found.append((page, len(read)))
        read.clear()
    assert found == [([], MAX_PAGE_CHUNKS), ([], MAX_PAGE_CHUNKS), ([], 1)]


def test_pages_while_a_job_runs_have_each_row_once(world: World) -> None:
    job = world.submit(Visit("A", "t", [f"{number}" for number in range(30)]))
    found: list[str] = []
    for page in pages(world, job, 4, ImageFilter()):
        found += [row.shown.image.url for row in page]
        world.deliver(limit=1)
    assert found == [f"{number}" for number in range(30)]
