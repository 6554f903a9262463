"""The boxes of an AVIF or HEIC may have any length, and what no picture needs may be missing."""

import tracemalloc
from collections.abc import Callable

import pytest

from tests.measuring.corpus import box
from tests.measuring.iso_files import Iso, Item, clap, endless, ftyp, full, irot, ispe, large
from tests.measuring.iso_reading import INVALID, TOO_LARGE, is_cut, outcome, read, sized

PIXI = full(b"pixi", b"\3\x08\x08\x08")


@pytest.mark.parametrize("kind", [b"ftyp", b"meta", b"pitm", b"iloc", b"iref", b"iinf", b"iprp", b"ipco", b"ispe",
                                  b"clap", b"irot", b"ipma", b"idat", b"mdat"])  # fmt: skip
def test_lengths_may_have_64_bits(kind: bytes) -> None:
    items = [Item(1, b"grid", [1, 2, 3], [8], 1), Item(2)]
    file = Iso(items, [ispe(616, 462), clap(615, 461), irot(1)], references=[(b"dimg", 1, [2])])
    file.changes = {kind: large}
    content = file.content()
    assert read(content) == "HEIC 461 x 615"
    assert is_cut(content, file.end_of(2) - 1)


IPCO = box(b"ipco", ispe(616, 462) + irot(1))
IPMA = full(b"ipma", b"\0\0\0\1\0\1\2\1\2")


@pytest.mark.parametrize(
    "changes",
    [
        {b"mdat": endless},
        {b"iprp": lambda _: box(b"iprp", IPMA + endless(IPCO))},
        # In place of the box before it, the last one of the description.
        {b"iprp": lambda _: b"", b"iloc": lambda iloc: iloc + endless(box(b"iprp", IPCO + IPMA))},
        {b"iref": lambda _: b"", b"iloc": lambda iloc: iloc + endless(full(b"iref", box(b"dimg", b"\0\1\0\0")))},
    ],
    ids=["mdat", "ipco", "iprp", "iref"],
)
def test_a_box_of_length_0_extends_to_the_end_of_the_box_around_it(
    changes: dict[bytes, Callable[[bytes], bytes]],
) -> None:
    file = Iso([Item(1, properties=[1, 2])], [ispe(616, 462), irot(1)], changes=changes)
    assert read(file.content()) == "HEIC 462 x 616"
    assert is_cut(file.content(), file.end_of(1) - 1)


@pytest.mark.parametrize("change", [bytes, large, endless])
def test_the_description_may_come_last(change: Callable[[bytes], bytes]) -> None:
    file = Iso([Item(1, properties=[1]), Item(2, b"Exif", extents=[9], method=1)], [ispe(616, 462)])
    content = file.content()
    start, end = content.index(b"meta") - 4, content.index(b"mdat") - 4
    # The data come first: the offset of the item is moved to where they are then.
    before, meta, mdat = content[:start], content[start:end], content[end:]
    meta = meta.replace((end + 8).to_bytes(4), (start + 8).to_bytes(4))
    moved = before + mdat + change(meta)
    assert read(moved) == "HEIC 616 x 462"
    assert is_cut(moved, len(moved) - 1)
    for length in range(start, len(moved)):
        assert outcome(moved[:length]).startswith("truncated: the HEIC is incomplete")


@pytest.mark.parametrize("after", [b"\n", b"\0" * 3, b"trailer!", b"\0\0\0\5abcdefgh", box(b"free", b"x"),
                                   b"\0\0\x40\0mpvdcut", b"\0\0\0\1mpvd\0", b"\xff" * 100, bytes(100), ftyp(b"isom"),
                                   b"\0\0\0\1mpvd" + b"\0" * 7 + b"\5"])  # fmt: skip
def test_bytes_after_the_last_box_belong_to_nobody(after: bytes) -> None:
    assert read(sized(ispe(616, 462), after=after).content()) == "HEIC 616 x 462"


def test_other_items_may_be_cut() -> None:
    items = [Item(1, b"av01", [1]), Item(2, b"av01"), Item(3, b"hvc1"), Item(4, b"Exif")]
    references = [(b"auxl", 2, [1]), (b"thmb", 3, [1]), (b"cdsc", 4, [1])]
    file = Iso(items, [ispe(9, 5)], brands=(b"avif",), references=references)
    content = file.content()
    assert read(content[: file.end_of(3)]) == "AVIF 9 x 5"
    assert is_cut(content, file.end_of(1) - 1)


def test_a_cut_within_the_description_is_a_cut() -> None:
    file = Iso([Item(1, properties=[1], method=1)], [ispe(9, 5), PIXI])
    file.changes = {b"iloc": lambda iloc: iloc + box(b"free", bytes(50))}
    content = file.content()
    end = content.index(b"mdat") - 4
    for length in range(12, end):
        assert outcome(content[:length]).startswith("truncated: the HEIC is incomplete")
    assert outcome(content[:end]) == "HEIC 9 x 5"


PROFILE = box(b"colr", b"prof" + bytes(3_000_000))


@pytest.mark.parametrize(
    ("properties", "changes"),
    [
        ([ispe(616, 462), PROFILE, clap(615, 461)], {}),
        ([ispe(616, 462), PIXI, clap(615, 461)], {b"iprp": lambda iprp: box(b"iprp", iprp[8:] + PROFILE)}),
        ([ispe(616, 462), PIXI, clap(615, 461)], {b"iloc": lambda iloc: PROFILE + iloc}),
    ],
    ids=["ipco", "iprp", "meta"],
)
def test_large_boxes_in_the_description_are_skipped(
    properties: list[bytes], changes: dict[bytes, Callable[[bytes], bytes]]
) -> None:
    content = Iso([Item(1, properties=[1, 2, 3])], properties, changes=changes).content()
    assert outcome(content, 65_536) == "HEIC 615 x 461"
    tracemalloc.start()
    try:
        outcome(content, 65_536)
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("block", [1_000, 1_000_000])
@pytest.mark.parametrize(("more", "expected"), [(0, "HEIC 9 x 5"), (1, TOO_LARGE)])
def test_what_is_kept_is_bounded(block: int, more: int, expected: str) -> None:
    # Six boxes are kept. The others than `iref` have 54 bytes of content.
    room = 262_144 - 6 * 100 - 54
    iref = full(b"iref", box(b"free", bytes(room - 12 + more)))
    file = Iso([Item(1, properties=[1])], [ispe(9, 5)], brands=(b"heic",), changes={b"iref": lambda _: iref})
    assert outcome(file.content(), block) == expected


def test_what_is_kept_may_start_anywhere_in_a_block() -> None:
    iref = full(b"iref", box(b"free", bytes(200_000)))
    file = Iso([Item(1, properties=[1])], [ispe(9, 5)], changes={b"iref": lambda _: iref})
    file.changes[b"ftyp"] = lambda ftyp: ftyp + box(b"free", bytes(95_000))
    assert outcome(file.content(), 100_000) == "HEIC 9 x 5"


def test_the_memory_of_small_boxes_counts() -> None:
    # Each takes 100 bytes and those of its content.
    properties = [ispe(9, 5), *[irot(1)] * 2_588]
    assert outcome(Iso([Item(1, properties=[1])], properties).content()) == "HEIC 9 x 5"
    assert outcome(Iso([Item(1, properties=[1])], [*properties, irot(1)]).content()) == TOO_LARGE


INVALID_TABLES: dict[str, tuple[bytes, Callable[[bytes], bytes]]] = {
    "more items than iloc has bytes for": (b"iloc", lambda found: found[:14] + b"\xff\xff" + found[16:]),
    "a few items more than iloc has bytes for": (b"iloc", lambda found: found[:14] + b"\0\2" + found[16:]),
    "endless entries in ipma": (b"ipma", lambda found: found[:12] + b"\xff\xff\xff\xff" + found[16:]),
    "more extents than iloc has bytes for": (b"iloc", lambda found: found[:-10] + b"\0\2" + found[-8:]),
    "iloc of a byte too few": (b"iloc", lambda found: box(b"iloc", found[8:-1])),
    "more items than ipma has bytes for": (b"ipma", lambda found: found[:12] + b"\0\0\0\3" + found[16:]),
    "more indices than ipma has bytes for": (b"ipma", lambda found: found[:-3] + b"\x08" + found[-2:]),
    "ispe of a byte too few": (b"ispe", lambda found: box(b"ispe", found[8:-1])),
    "irot without a byte": (b"irot", lambda _: box(b"irot", b"")),
    "pitm without a number": (b"pitm", lambda _: box(b"pitm", b"")),
    "iref with a box that is too long": (b"iref", lambda _: full(b"iref", b"\0\0\0\x0fdimg\0\1\0\1\0\2")),
    "iref with a box that is too short": (b"iref", lambda _: full(b"iref", b"\0\0\0\7dimg\0\1\0\1\0\2")),
    "iref with more items than it has bytes for": (b"iref", lambda _: full(b"iref", box(b"dimg", b"\0\1\0\2\0\2"))),
    "iloc of an unknown version": (b"iloc", lambda found: found[:8] + b"\3" + found[9:]),
    "no iloc": (b"iloc", lambda _: box(b"free", b"")),
    "no ipma": (b"ipma", lambda _: box(b"free", b"")),
    "a box that exceeds the box around it": (b"ispe", lambda found: b"\0\0\1\0" + found[4:]),
    "a box of an impossible length": (b"ispe", lambda found: b"\0\0\0\7" + found[4:]),
    "a large box of an impossible length": (b"ispe", lambda found: large(found)[:15] + b"\x0f" + large(found)[16:]),
}  # fmt: skip


@pytest.mark.parametrize("name", INVALID_TABLES)
def test_invalid_tables_are_reported(name: str) -> None:
    kind, change = INVALID_TABLES[name]
    file = Iso([Item(1, properties=[1, 2])], [ispe(9, 5), irot(0)], changes={kind: change})
    assert read(file.content()) == INVALID


def test_boxes_may_be_empty() -> None:
    empty = box(b"free", b"") + large(box(b"free", b""))
    file = sized(ispe(616, 462), after=empty)
    file.changes = {kind: lambda found: empty + found for kind in (b"meta", b"iloc", b"ipco", b"mdat")}
    assert read(file.content()) == "HEIC 616 x 462"


def test_fewer_bytes_than_a_header_are_padding() -> None:
    file = Iso([Item(2), Item(1, properties=[1])], [ispe(9, 5)], references=[(b"dimg", 1, [2])])
    for kind in (b"ipco", b"iprp", b"meta", b"iref"):
        file.changes = {kind: lambda found: box(found[4:8], found[8:] + b"\1\1\1\1\1\1\1")}
        assert read(file.content()) == "HEIC 9 x 5"


def test_a_description_without_a_primary_item_is_skipped() -> None:
    file = Iso([Item(1, properties=[1])], [ispe(9, 5)], changes={b"pitm": lambda _: box(b"free", b"")})
    content = file.content()
    assert read(content) == "not_an_image: the HEIC does not contain an image with a size"
    assert outcome(content[:-1]).startswith("truncated")
    second = Iso([Item(1, properties=[1])], [ispe(616, 462)]).content()
    assert read(second + content[int.from_bytes(content[:4]) :]) == "HEIC 616 x 462"


def test_a_file_without_a_description_is_truncated() -> None:
    start = ftyp(b"heic", b"mif1")
    for content in (start, start + box(b"mdat", bytes(50)), start + box(b"free", b""), start + b"\0\0\1\0mdat"):
        assert read(content) == f"truncated: the HEIC is incomplete: it ends after {len(content)} bytes"
    assert read(start + b"\0\0\0\5abcdef") == "not_an_image: the HEIC does not contain an image with a size"
