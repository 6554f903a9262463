"""Large files are split into jobs that the service accepts."""

import json
from itertools import chain, repeat

import pytest

from pulse.parts import MAX_BODY_BYTES, MAX_IMAGES, Part, metadata_size, split
from pulse.visits import Visit
from retail_pulse.api.submit_body import SubmissionLimits, parse_submission

LIMITS = SubmissionLimits(body_bytes=MAX_BODY_BYTES, visits=100_000, images=MAX_IMAGES)


def visit(images: int, name: str = "S00339218", url: str = "http://h/{}.jpg") -> Visit:
    return Visit(name, "2026-11-23", [url.format(number) for number in range(images)])


def visits(part: Part) -> list[Visit]:
    """Return the visits of a part as the service reads them, which refuses any body over its limits."""
    parsed = parse_submission(part.body({"file": "ü.csv"}), LIMITS)
    return [Visit(each.store_id, each.visit_time, list(each.image_urls)) for each in parsed.visits]


def test_120_000_images_make_three_jobs() -> None:
    parts = split(repeat(visit(10), 12_000), metadata_bytes=100)
    assert [part.images for part in parts] == [50_000, 50_000, 20_000]
    assert sum(len(visits(part)) for part in parts) == 12_000


@pytest.mark.parametrize(
    "url", ["http://h/{}", "http://h/{}" + "a" * 300, "http://h/{}" + "ü" * 300, 'http://h/{}"\\\x7f']
)
def test_every_part_fits_and_together_they_are_the_file_in_its_order(url: str) -> None:
    given = [visit(1 + number % 7, f"S{number}", url) for number in range(1_000)]
    metadata = {"file": "ü.csv"}
    parts = split(given, metadata_bytes=metadata_size(metadata), max_images=700, max_bytes=50_000)
    assert list(chain.from_iterable(map(visits, parts))) == given
    # A part is closed only when the next visit does not fit.
    sizes = [len(part.body(metadata)) for part in parts]
    assert max(sizes) <= 50_000
    assert max(part.images for part in parts) <= 700
    closed = zip(sizes[:-1], parts, strict=False)
    assert all(size > 50_000 - 5_000 or part.images > 700 - 7 for size, part in closed)


def test_a_visit_moves_to_the_next_part_rather_than_being_split() -> None:
    parts = split([visit(6, "A"), visit(6, "B"), visit(4, "C")], max_images=10)
    assert [[each.store_id for each in visits(part)] for part in parts] == [["A"], ["B", "C"]]


def test_a_visit_that_no_part_can_have_is_split() -> None:
    large = visit(25, "A")
    parts = split([visit(1, "B"), large, visit(1, "C")], max_images=10)
    assert [part.images for part in parts] == [1, 10, 10, 6]
    assert [
        url for part in parts for each in visits(part) if each.store_id == "A" for url in each.image_urls
    ] == large.image_urls


def test_a_visit_with_too_many_bytes_is_split() -> None:
    large = visit(100, url="http://h/{}" + "a" * 90)
    parts = split([large], max_bytes=2_000)
    assert all(len(part.body({})) <= 2_000 for part in parts)
    assert len(parts) == 6
    assert [url for part in parts for each in visits(part) for url in each.image_urls] == large.image_urls


def test_no_visits_make_no_part() -> None:
    assert split([]) == []


def test_the_same_visits_make_the_same_bytes() -> None:
    bodies = [split([visit(3)])[0].body({"a": "b"}) for _ in range(2)]
    assert bodies[0] == bodies[1]
    assert json.loads(bodies[0])["count"] == 1
