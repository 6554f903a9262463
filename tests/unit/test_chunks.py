"""How a job is cut into chunks, and how chunks are judged."""

from hypothesis import given
from hypothesis import strategies as st

from retail_pulse.domain.chunks import MAX_DELAY_SECONDS, Chunk, Scope, cut
from retail_pulse.domain.failures import FailureCode
from retail_pulse.domain.outcomes import Failure, Measured
from retail_pulse.domain.retries import Attempts
from retail_pulse.domain.visits import Visit
from retail_pulse.storage import items

PERMANENT = Failure(FailureCode.NOT_AN_IMAGE, "no", is_transient=False)
TRANSIENT = Failure(FailureCode.TIMEOUT, "slow", is_transient=True)
GOOD = Measured("JPEG", 30, 20, 1000)

urls = st.lists(st.text(min_size=1, max_size=40), min_size=1, max_size=30)
jobs = st.lists(st.builds(Visit, st.text(min_size=1, max_size=8), st.just("t"), urls), min_size=1, max_size=12)


@given(jobs, st.integers(1, 12), st.integers(100, 2000))
def test_cutting_keeps_every_image_once_in_the_order_of_the_body(visits: list[Visit], images: int, size: int) -> None:
    chunks = cut(visits, images, size)
    seen = [(image.visit, image.image, image.url) for chunk in chunks for image in chunk.images()]
    assert seen == [(v, i, url) for v, visit in enumerate(visits) for i, url in enumerate(visit.image_urls)]
    assert [chunk.number for chunk in chunks] == list(range(len(chunks)))


@given(jobs, st.integers(1, 12), st.integers(100, 2000))
def test_no_chunk_is_empty_or_holds_more_images_than_it_may(visits: list[Visit], images: int, size: int) -> None:
    assert all(1 <= chunk.size <= images for chunk in cut(visits, images, size))


@given(jobs, st.integers(1, 12), st.integers(100, 2000))
def test_no_chunk_of_several_images_holds_more_bytes_than_it_may(visits: list[Visit], images: int, size: int) -> None:
    for chunk in cut(visits, images, size):
        # With its escapes: a control character has six bytes in JSON.
        stored = items.chunk_item("n", chunk, 1)["parts"]["S"]
        assert chunk.size == 1 or len(stored.encode()) <= size


@given(jobs, st.integers(1, 12))
def test_a_visit_is_split_only_when_no_chunk_can_hold_it(visits: list[Visit], images: int) -> None:
    for chunk in cut(visits, images, 10**6):
        for part in chunk.parts:
            assert (part.parts > 1) == (len(visits[part.visit].image_urls) > images)


def test_the_parts_of_a_split_visit_say_which_of_how_many_they_are() -> None:
    parts = [chunk.parts[0] for chunk in cut([Visit("S", "t", ["u"] * 120)], 50, 10**6)]
    assert [(part.part, part.parts, part.first_image) for part in parts] == [(1, 3, 0), (2, 3, 50), (3, 3, 100)]


def chunk_with(outcomes: dict[int, Failure | Measured]) -> Chunk:
    (chunk,) = cut([Visit("A", "t", ["1", "2"]), Visit("B", "t", ["3"])], 50, 10**6)
    return Chunk(chunk.number, chunk.parts, outcomes=outcomes)


def test_only_visits_whose_images_are_all_measured_have_a_row() -> None:
    (row,) = chunk_with({0: GOOD, 1: TRANSIENT, 2: GOOD}).measured_rows("c", 7)
    assert (row.store_id, row.visit, row.perimeter, row.images) == ("B", 1, 100, 1)
    assert not list(chunk_with({0: GOOD}).measured_rows("c", 7))


def test_a_run_retries_what_its_scope_includes() -> None:
    chunk = chunk_with({0: PERMANENT, 1: TRANSIENT, 2: GOOD})
    assert chunk.reopened_by(Scope.ALL) == [0, 1]
    assert chunk.reopened_by(Scope.TRANSIENT) == [1]


def test_a_requeued_message_comes_when_the_first_open_image_may_be_attempted() -> None:
    def delay(*not_before: float) -> int:
        chunk = chunk_with({})
        attempts = {index: Attempts(1, 0, time) for index, time in enumerate(not_before)}
        return Chunk(chunk.number, chunk.parts, attempts=attempts).message_delay(now=1000)

    assert delay(1030.2, 1020.2, 1040) == 21
    assert delay(1030, 1020) == 0  # the third image was not attempted yet
    assert delay(900, 900, 900) == 0
    assert delay(9999, 9999, 9999) == MAX_DELAY_SECONDS
