"""TIFF: never a thumbnail in place of the picture, raw photos included, and what of a file has to be there."""

import io
import struct
import warnings
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.measuring.formats.size import SizeReader
from tests.measuring.corpus import tiff_directory
from tests.measuring.quirks import (
    DNG,
    ENHANCED,
    LINEAR,
    MASK,
    PAGE,
    REDUCED,
    REDUCED_PAGE,
    SENSOR,
    Directory,
    outcome,
    tiff_of,
)

THUMBNAIL, PICTURE = Directory(16, 12, REDUCED), Directory(61, 43)
SMALL, LARGE = Directory(16, 12), Directory(80, 60)
UNSUPPORTED, TRUNCATED, NOT_AN_IMAGE = (
    FailureCode.UNSUPPORTED_FORMAT,
    FailureCode.TRUNCATED,
    FailureCode.NOT_AN_IMAGE,
)
BEYOND = 10**6
ORDERS = pytest.mark.parametrize(
    ("order", "big"), [("<", False), (">", False), ("<", True), (">", True)], ids=["II", "MM", "II big", "MM big"]
)


def with_subs(directory: Directory, *subs: Directory) -> Directory:
    return replace(directory, subs=subs)


def marked(tags: dict[int, int], *more: dict[int, int], width: int = 80, height: int = 60) -> Directory:
    return Directory(width, height, {tag: value for part in (tags, *more) for tag, value in part.items()})


def opened(content: bytes) -> tuple[int, int]:
    """Return the size that Pillow reads, with whatever it warns of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            return image.size


PICTURES: dict[str, tuple[Directory, ...]] = {
    "the thumbnail first": (THUMBNAIL, PICTURE),
    "the thumbnail last": (PICTURE, THUMBNAIL),
    "a larger reduced copy, of a picture that was cropped": (PICTURE, marked(REDUCED)),
    "a reduced page": (marked(REDUCED_PAGE), PICTURE),
    "several pages": (marked(PAGE, width=20, height=70), marked(PAGE, width=61, height=43), SMALL),
    "pages without marks": (SMALL, PICTURE, SMALL),
    "the old mark": (marked({255: 2}), Directory(61, 43, {255: 1})),
    "the old mark of a page": (SMALL, Directory(61, 43, {255: 3})),
    "a mask that is larger": (PICTURE, marked(MASK)),
    "a mask first": (marked(MASK, width=61, height=43), PICTURE),
    "the picture in a sub-directory": (with_subs(THUMBNAIL, PICTURE),),
    "the second of several sub-directories": (with_subs(THUMBNAIL, marked(REDUCED), PICTURE, SMALL),),
    "sub-directories of a later directory": (THUMBNAIL, with_subs(SMALL, THUMBNAIL, PICTURE)),
    "a pyramid in sub-directories": (with_subs(PICTURE, marked(REDUCED, width=30, height=20), THUMBNAIL),),
    "after a directory without a picture": (Directory(0, 0), PICTURE),
    "turned by its orientation": (Directory(61, 43, {274: 6}),),
    "the only one, marked as reduced": (marked(REDUCED, width=61, height=43),),
    "the only one, with the old mark": (marked({255: 2}, width=61, height=43),),
    "the only one, marked as a mask": (marked(MASK, width=61, height=43),),
    "DNG, thumbnail first": (with_subs(marked(REDUCED, DNG), marked(SENSOR, {254: 0}, width=61, height=43)),),
    "DNG, thumbnail without a mark": (with_subs(marked(DNG), marked(SENSOR, width=61, height=43)),),
    "DNG of linear values": (with_subs(marked(REDUCED, DNG), marked(LINEAR, width=61, height=43)),),
    "DNG, preview in full size": (
        with_subs(marked(REDUCED, DNG), marked(SENSOR, width=61, height=43), marked(REDUCED), marked({254: 0x10001})),
    ),
    "DNG, enhanced to more pixels": (
        with_subs(marked(REDUCED, DNG), marked(SENSOR, width=61, height=43), marked(LINEAR, ENHANCED)),
    ),
    "DNG, depth map": (with_subs(marked(REDUCED, DNG), marked(SENSOR, width=61, height=43), marked({254: 8})),),
    "DNG, photo first": (with_subs(marked(SENSOR, DNG, width=61, height=43), marked(REDUCED)),),
    "DNG without a sensor's values": (with_subs(marked(REDUCED, DNG), PICTURE),),
    "NEF: preview and photo in sub-directories": (
        with_subs(THUMBNAIL, marked(REDUCED), marked(SENSOR, {254: 0}, width=61, height=43)),
    ),
    "ARW: preview, thumbnail, photo": (with_subs(marked(REDUCED), marked(SENSOR, width=61, height=43)), THUMBNAIL),
    "PEF: photo first, larger preview without a mark": (marked(SENSOR, width=61, height=43), THUMBNAIL, LARGE),
}

REFUSED: dict[str, tuple[tuple[Directory, ...], FailureCode]] = {
    "two reduced copies": ((THUMBNAIL, marked(REDUCED)), UNSUPPORTED),
    "two masks": ((marked(MASK), marked(MASK)), UNSUPPORTED),
    "DNG with only a thumbnail": ((marked(REDUCED, DNG),), UNSUPPORTED),
    "raw photo whose sensor has no size": ((with_subs(LARGE, Directory(0, 0, SENSOR)),), UNSUPPORTED),
    "raw photo whose sensor has a reduced copy only": ((LARGE, marked(SENSOR, REDUCED)), UNSUPPORTED),
    "preview of a sensor's values": ((marked(SENSOR, REDUCED),), UNSUPPORTED),
    "preview without a size, as in the first ARW": ((Directory(0, 0, REDUCED), Directory(0, 0)), UNSUPPORTED),
    "no size": ((Directory(0, 0),), NOT_AN_IMAGE),
    "no width": ((Directory(0, 0, {257: 43}),), NOT_AN_IMAGE),
    "no height": ((Directory(0, 0, {256: 61}),), NOT_AN_IMAGE),
    "no directory": ((), NOT_AN_IMAGE),
}


@ORDERS
@pytest.mark.parametrize("name", PICTURES)
def test_the_size_is_of_the_largest_picture_that_is_not_a_reduced_copy(name: str, order: str, big: bool) -> None:
    assert outcome(tiff_of(*PICTURES[name], order=order, big=big)) == (61, 43)


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("big", [False, True])
def test_a_file_of_reduced_copies_is_refused(name: str, big: bool) -> None:
    chain, code = REFUSED[name]
    content = tiff_of(*chain, big=big)
    if not chain:
        content = content[: 8 if big else 4] + bytes(8 if big else 4)
    assert outcome(content) is code


def test_a_refused_raw_photo_says_why() -> None:
    with SizeReader(100) as reader:
        reader.feed(tiff_of(marked(REDUCED, DNG)))
        with pytest.raises(MeasuringError, match="only pictures of reduced resolution, as some raw photos do"):
            reader.result()


@pytest.mark.parametrize("mark", [b"CR\2\0", b"IIIITwaR", b"IIIICwaR", b"IIII\nwaR", b"MMMMRawT"])
def test_raw_photos_without_the_real_size_are_refused_at_once(mark: bytes) -> None:
    content = tiff_of(PICTURE, mark=mark)
    with SizeReader(100) as reader, pytest.raises(MeasuringError, match="unsupported_format: raw photos in CR2 or IIQ"):
        reader.feed(content[:64])


@pytest.mark.parametrize("mark", [b"CR\1\0", b"IIIIIIII", b"MMMMMMMM", b"\0CR\2"])
def test_other_bytes_after_the_header_are_pixels(mark: bytes) -> None:
    assert outcome(tiff_of(PICTURE, mark=mark)) == (61, 43)


@pytest.mark.parametrize(
    "head",
    [
        b"IIRO\x08\0\0\0", b"IIRS\x08\0\0\0", b"MMOR\0\0\0\x08", b"IIU\0\x18\0\0\0", b"FUJIFILMCCD-RAW 0201",
        b"II\x1a\0\0\0HEAPCCDR\2\0", b"\0MRM\0\0\0\x08", b"FOVb\0\0\2\0", b"\0\0\0\x18ftypcrx \0\0\0\1crx isom",
    ],
)  # fmt: skip
def test_raw_photos_that_are_not_tiffs_are_refused(head: bytes) -> None:
    assert outcome(head + bytes(100)) is UNSUPPORTED


@ORDERS
def test_the_pixels_of_a_reduced_copy_need_not_be_there(order: str, big: bool) -> None:
    lost = Directory(16, 12, {**REDUCED, 273: BEYOND})
    for chain in ((lost, PICTURE), (PICTURE, lost), (with_subs(lost, PICTURE),), (with_subs(PICTURE, lost),)):
        assert outcome(tiff_of(*chain, order=order, big=big)) == (61, 43)


@ORDERS
@pytest.mark.parametrize("data", [(273, 279), (324, 325), (513, 514)], ids=["strip", "tile", "JPEG"])
@pytest.mark.parametrize("place", ["only", "reduced", "page", "sub", "sensor"])
def test_the_pixels_of_other_pictures_have_to_be_there(
    order: str, big: bool, data: tuple[int, int], place: str
) -> None:
    def make(at: int) -> bytes:
        """Return a TIFF with a picture of 100 bytes at this offset: the only one, or another one."""
        tags = {273: 8, 279: 1, data[0]: at, data[1]: 100}
        chain = {
            "only": (Directory(61, 43, tags),),
            "reduced": (Directory(61, 43, {**tags, **REDUCED}),),
            "page": (PICTURE, Directory(16, 12, tags)),
            "sub": (with_subs(PICTURE, Directory(16, 12, tags)),),
            "sensor": (LARGE, Directory(61, 43, {**tags, **SENSOR})),
        }
        return tiff_of(*chain[place], order=order, big=big)

    length = len(make(0))
    assert outcome(make(length - 100)) == (61, 43)
    assert outcome(make(length - 99)) is TRUNCATED
    assert outcome(make(BEYOND)) is TRUNCATED


@ORDERS
@pytest.mark.parametrize(
    ("tag", "outcome_beyond"),
    [
        (270, (61, 43)), (282, (61, 43)), (305, (61, 43)), (34665, (61, 43)), (34675, (61, 43)), (65000, (61, 43)),
        (258, TRUNCATED), (320, TRUNCATED), (339, TRUNCATED), (347, TRUNCATED), (519, TRUNCATED), (520, TRUNCATED),
        (521, TRUNCATED),
    ],
)  # fmt: skip
def test_values_have_to_be_there_if_pixels_cannot_be_decoded_without(
    order: str, big: bool, tag: int, outcome_beyond: Any
) -> None:
    def make(count: int, at: int) -> bytes:
        return tiff_of(Directory(61, 43, typed_tags=[(tag, 7, count, at)]), order=order, big=big)

    length = len(make(0, 0))
    assert outcome(make(100, length - 100)) == (61, 43)
    assert outcome(make(100, length - 99)) == outcome_beyond
    assert outcome(make(100, BEYOND)) == outcome_beyond
    # Up to the length of an offset the tag itself holds them.
    assert outcome(make(8 if big else 4, BEYOND)) == (61, 43)
    assert outcome(make(9 if big else 5, BEYOND)) == outcome_beyond


@ORDERS
@pytest.mark.parametrize(
    ("kind", "size"),
    [
        (1, 1), (2, 1), (3, 2), (4, 4), (5, 8), (6, 1), (7, 1), (8, 2), (9, 4), (10, 8), (11, 4), (12, 8), (13, 4),
        (16, 8), (17, 8), (18, 8),
    ],
)  # fmt: skip
def test_values_have_the_length_of_their_type(order: str, big: bool, kind: int, size: int) -> None:
    def make(at: int) -> bytes:
        return tiff_of(Directory(61, 43, typed_tags=[(339, kind, 100, at)]), order=order, big=big)

    end = len(make(0))
    assert outcome(make(end - 100 * size)) == (61, 43)
    assert outcome(make(end - 100 * size + 1)) is TRUNCATED


def test_pillow_ignores_broken_private_tags_as_well() -> None:
    content = tiff_of(Directory(61, 43, typed_tags=[(65000, 7, 100, BEYOND)]))
    assert outcome(content) == opened(content) == (61, 43)


@ORDERS
def test_a_tiff_may_end_without_the_offset_of_a_next_directory(order: str, big: bool) -> None:
    content = tiff_of(THUMBNAIL, PICTURE, order=order, big=big)
    offset = 8 if big else 4
    found = [outcome(content[:-missing]) for missing in range(1, offset + 2)]
    # A part of an offset is the beginning of one that was cut.
    assert found == [TRUNCATED] * (offset - 1) + [(61, 43), TRUNCATED]


def test_pillow_reads_a_tiff_without_the_offset_of_a_next_directory() -> None:
    assert opened(tiff_of(PICTURE)[:-4]) == (61, 43)


@ORDERS
def test_directories_beyond_the_end_are_cut(order: str, big: bool) -> None:
    offset = struct.pack(order + ("Q" if big else "I"), BEYOND)
    content = tiff_of(PICTURE, order=order, big=big)
    assert outcome(content[: -len(offset)] + offset) is TRUNCATED
    assert outcome(content[: len(offset)] + offset + content[2 * len(offset) :]) is TRUNCATED
    for count in (1, 1000):
        subs = Directory(61, 43, typed_tags=[(330, 18 if big else 4, count, BEYOND)])
        assert outcome(tiff_of(subs, order=order, big=big)) is TRUNCATED


def test_a_cut_before_the_end_of_the_picture_is_found() -> None:
    content = tiff_of(with_subs(THUMBNAIL, PICTURE))
    assert {outcome(content[:length]) for length in range(12, len(content) - 4)} == {TRUNCATED}


def test_a_directory_of_a_bigtiff_has_as_many_tags_as_one_of_a_tiff() -> None:
    def make(count: int) -> bytes:
        tags = [(256, 4, 1, 61), (257, 4, 1, 43), *((270 + number % 3, 4, 1, 0) for number in range(count - 2))]
        return struct.pack("<2sHHHQ", b"II", 43, 8, 0, 16) + tiff_directory(tags, big=True)

    assert outcome(make(65_535)) == (61, 43)
    assert outcome(make(65_536)) is NOT_AN_IMAGE


def test_directories_that_return_to_themselves_are_read_once() -> None:
    plain = tiff_of(THUMBNAIL, PICTURE)
    (first,) = struct.unpack_from("<I", plain, 4)
    (second,) = struct.unpack_from("<I", plain, first + 2 + 12 * plain[first])
    for sub in (0, first, second):
        content = tiff_of(THUMBNAIL, replace(PICTURE, typed_tags=[(330, 4, 1, sub)]))
        assert outcome(content) == outcome(content[:-4] + struct.pack("<I", first)) == (61, 43)


def test_of_equal_tags_the_first_one_counts() -> None:
    entries = sorted([(256, 4, 1, 61), (256, 4, 1, 99), (257, 4, 1, 43), (257, 4, 1, 99)])
    assert outcome(struct.pack("<2sHI", b"II", 42, 8) + tiff_directory(entries)) == (61, 43)


@pytest.mark.parametrize(
    ("kind", "count", "expected"),
    [
        (1, 1, (61, 43)), (3, 1, (61, 43)), (4, 1, (61, 43)), (13, 1, (61, 43)),
        (2, 1, NOT_AN_IMAGE), (5, 1, NOT_AN_IMAGE), (7, 1, NOT_AN_IMAGE), (11, 1, NOT_AN_IMAGE), (99, 1, NOT_AN_IMAGE),
        (4, 0, NOT_AN_IMAGE), (4, 2, NOT_AN_IMAGE),
    ],
)  # fmt: skip
def test_a_size_is_a_single_integer(kind: int, count: int, expected: Any) -> None:
    assert outcome(tiff_of(Directory(0, 43, {257: 43}, typed_tags=[(256, kind, count, 61)]))) == expected


@pytest.mark.parametrize("size", [2**16 - 1, 2**16])
def test_integers_have_the_length_of_their_type(size: int) -> None:
    # The width is a number of eight bytes, the last ones of the file; the height has two bytes.
    entries = [(256, 16, 1, 8 + 2 + 3 * 12 + 4), (257, 3, 1, size), (259, 4, 1, 1)]
    content = struct.pack("<2sHI", b"II", 42, 8) + tiff_directory(entries) + struct.pack("<Q", size)
    assert outcome(content) == ((size, size) if size < 2**16 else NOT_AN_IMAGE)
    assert outcome(content[:-1]) is TRUNCATED


def test_a_list_of_parts_has_integers() -> None:
    assert outcome(tiff_of(Directory(61, 43, typed_tags=[(279, 2, 1, 5)]))) is NOT_AN_IMAGE


@pytest.mark.parametrize("tags", [[(330, 2, 1, BEYOND)], [(330, 4, 0, BEYOND)]], ids=["text", "none"])
def test_sub_directories_that_are_not_offsets_are_ignored(tags: list[tuple[int, int, int, int]]) -> None:
    assert outcome(tiff_of(Directory(61, 43, typed_tags=tags))) == (61, 43)
