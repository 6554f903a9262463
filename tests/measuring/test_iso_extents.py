"""An AVIF or HEIC is complete if the extents of its primary item are there."""

from collections.abc import Callable

import pytest

from tests.measuring.corpus import box
from tests.measuring.iso_files import Iso, Item, endless, irot, ispe, large
from tests.measuring.iso_reading import INVALID, is_cut, outcome, read


@pytest.mark.parametrize("version", [0, 1, 2])
@pytest.mark.parametrize("offset_bytes", [4, 8])
@pytest.mark.parametrize("length_bytes", [4, 8])
@pytest.mark.parametrize("base_bytes", [0, 4, 8])
@pytest.mark.parametrize("index_bytes", [0, 4, 8])
def test_items_are_located_by_numbers_of_any_width(
    version: int, offset_bytes: int, length_bytes: int, base_bytes: int, index_bytes: int
) -> None:
    items = [Item(3), Item(1, properties=[1], extents=[20, 1, 30]), Item(2)]
    file = Iso(items, [ispe(9, 5)], iloc_version=version)
    file.iloc_sizes = (offset_bytes, length_bytes, base_bytes, index_bytes)
    content = file.content()
    assert read(content) == "HEIC 9 x 5"
    assert is_cut(content, file.end_of(1) - 1)


@pytest.mark.parametrize("sizes", [(1, 4, 0, 0), (4, 2, 0, 0), (4, 4, 3, 0), (4, 4, 0, 15)])
def test_other_widths_are_invalid(sizes: tuple[int, int, int, int]) -> None:
    assert read(Iso([Item(1, properties=[1])], [ispe(9, 5)], iloc_sizes=sizes).content()) == INVALID


def test_the_offset_may_be_left_to_the_base() -> None:
    file = Iso([Item(1, properties=[1])], [ispe(9, 5)], iloc_sizes=(0, 4, 4, 0))
    assert read(file.content()) == "HEIC 9 x 5"
    assert is_cut(file.content(), file.end_of(1) - 1)


def test_the_extent_that_ends_last_counts() -> None:
    # The second extent lies before the first one.
    file = Iso([Item(1, properties=[1], extents=[30, 20])], [ispe(9, 5)])
    start = file.end_of(1) - 50
    swapped = file.content().replace(
        (start + 30).to_bytes(4) + (20).to_bytes(4), (start - 8).to_bytes(4) + (20).to_bytes(4)
    )
    assert is_cut(swapped, file.end_of(1) - 21)


@pytest.mark.parametrize(
    ("sizes", "mdat", "cut"),
    [
        # An extent without a length extends to the end of the box that it starts in.
        ((4, 0, 0, 0), None, True), ((4, 0, 4, 0), None, True), ((0, 0, 4, 0), None, True),
        ((4, 0, 0, 0), large, True),
        # Where the box ends with the file, no cut is seen, but the first byte is needed.
        ((4, 0, 0, 0), endless, False),
    ],
)  # fmt: skip
def test_extents_without_a_length(
    sizes: tuple[int, int, int, int], mdat: Callable[[bytes], bytes] | None, cut: bool
) -> None:
    file = Iso([Item(1, properties=[1])], [ispe(9, 5)], iloc_sizes=sizes)
    file.changes = {b"mdat": mdat} if mdat else {}
    content = file.content()
    assert read(content) == "HEIC 9 x 5"
    assert is_cut(content, file.end_of(1) - (1 if cut else 50))
    # Another box may be cut after it.
    assert read(content + box(b"free", bytes(20))[:15]) == "HEIC 9 x 5"


def test_an_extent_without_a_length_may_start_with_its_box() -> None:
    file = Iso([Item(1, properties=[1])], [ispe(9, 5)], iloc_sizes=(4, 0, 0, 0))
    content = file.content()
    start = content.index(b"mdat") - 4
    content = content.replace((start + 8).to_bytes(4), start.to_bytes(4))
    assert read(content) == "HEIC 9 x 5"
    assert is_cut(content, file.end_of(1) - 1)


def test_extents_of_no_bytes_are_any_number() -> None:
    file = Iso([Item(1, properties=[1])], [ispe(9, 5)], iloc_sizes=(0, 0, 0, 0))
    assert read(file.content()) == "HEIC 9 x 5"
    none = Iso([Item(1, properties=[1], extents=[]), Item(2)], [ispe(9, 5)])
    assert read(none.content()[: none.end_of(2) - 50]) == "HEIC 9 x 5"


def test_bytes_within_the_description() -> None:
    file = Iso([Item(2, extents=[10], method=1), Item(1, properties=[1], extents=[20, 30], method=1)], [ispe(9, 5)])
    content = file.content()
    assert read(content) == "HEIC 9 x 5"
    # The data in the file are not needed, nor is their box.
    assert is_cut(content, content.index(b"mdat") - 5)
    # What the box does not have is nowhere.
    file.changes = {b"idat": lambda idat: box(b"idat", idat[9:])}
    assert read(file.content()).startswith("truncated: the HEIC is incomplete")
    file.changes = {b"idat": lambda idat: idat + box(b"free", b"")}
    assert read(file.content()) == "HEIC 9 x 5"


def test_bytes_within_another_item() -> None:
    items = [Item(1, properties=[1], extents=[40], method=2), Item(2), Item(3)]
    file = Iso(items, [ispe(9, 5)], references=[(b"iloc", 1, [2])])
    assert read(file.content()) == "HEIC 9 x 5"
    assert is_cut(file.content(), file.end_of(2) - 1)


@pytest.mark.parametrize("version", [0, 1, 2])
@pytest.mark.parametrize("number", [1, 256])
def test_bytes_in_another_file_are_not_looked_for(version: int, number: int) -> None:
    items = [Item(1, properties=[1], extents=[4_000], file=number), Item(2)]
    file = Iso(items, [ispe(9, 5)], iloc_version=version)
    content = file.content()
    assert read(content) == "HEIC 9 x 5"
    assert is_cut(content, content.index(b"mdat") - 5)


@pytest.mark.parametrize("count", [64, 2_000])
def test_a_picture_of_many_tiles_is_read(count: int) -> None:
    tiles = [Item(number, properties=[1], extents=[5]) for number in range(1, count + 1)]
    items = [*tiles, Item(60_000, b"grid", [2, 3], [8], 1)]
    references = [(b"dimg", 60_000, range(1, count + 1))]
    file = Iso(items, [ispe(512, 512), ispe(9_000, 8_000), irot(1)], 60_000, (b"mif1",), references)
    content = file.content()
    assert outcome(content) == "HEIC 8000 x 9000"
    assert is_cut(content, file.end_of(count) - 1)
