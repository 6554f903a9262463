"""An AVIF or HEIC that is only a track has the size of that track."""

import pytest

from tests.measuring.corpus import box
from tests.measuring.iso_files import Track, ftyp, full, ispe
from tests.measuring.iso_reading import is_cut, outcome, read, sized


def content_of(track: Track | bytes) -> bytes:
    return track.content() if isinstance(track, Track) else track


def movie(*tracks: Track | bytes, brand: bytes = b"avis") -> bytes:
    """Return a file that has tracks only; its data start at 4,000."""
    moov = box(b"moov", full(b"mvhd", bytes(100)) + b"".join(map(content_of, tracks)))
    start = ftyp(brand, b"msf1") + moov
    return start + box(b"free", bytes(4_000 - len(start) - 16)) + b"\0\0\1\0mdat" + bytes(range(1, 249))


SIZE = (616 << 16 | 0xFFFF, 462 << 16)
# The third one ends last.
CHUNKS = [(4_000, [10, 20, 30]), (4_100, [40, 50, 20]), (4_200, [30]), (4_060, [6])]
END = 4_230


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize("large_offsets", [False, True])
def test_a_file_that_is_only_a_track_has_its_size(version: int, large_offsets: bool) -> None:
    content = movie(Track(SIZE, CHUNKS, version=version, large_offsets=large_offsets, described=(9, 9)))
    assert read(content) == "AVIF 616 x 462"
    assert is_cut(content, END - 1)
    for length in range(12, 4_000, 7):
        assert outcome(content[:length]).startswith("truncated: the AVIF is incomplete")


def test_samples_of_one_length() -> None:
    content = movie(Track(SIZE, CHUNKS, same_length=12))
    assert read(content) == "AVIF 616 x 462"
    assert is_cut(content, 4_200 + 12 - 1)


@pytest.mark.parametrize("same_length", [0, 12])
def test_a_chunk_has_no_more_samples_than_there_are(same_length: int) -> None:
    runs = full(b"stsc", b"\0\0\0\1" + b"\0\0\0\1\0\0\0\3\0\0\0\1")
    chunks = [(4_000, [10, 10, 10]), (4_100, [12])]
    content = movie(Track(SIZE, chunks, same_length=same_length, changes={b"stsc": lambda _: runs}))
    assert is_cut(content, 4_112 - 1)


@pytest.mark.parametrize("size", [(0, 0), (616 << 16, 0), (0, 462 << 16), (0xFFFF, 462 << 16)])
def test_a_track_without_a_size_has_that_of_its_description(size: tuple[int, int]) -> None:
    assert read(movie(Track(size, CHUNKS, described=(615, 461)))) == "AVIF 615 x 461"


@pytest.mark.parametrize(("coding", "name"), [(b"av01", "AVIF"), (b"hvc1", "HEIC"), (b"hev1", "HEIC")])
def test_the_coding_of_a_track_is_its_format_if_the_brands_leave_it_open(coding: bytes, name: str) -> None:
    assert read(movie(Track(SIZE, CHUNKS, coding=coding), brand=b"msf1")) == f"{name} 616 x 462"


@pytest.mark.parametrize("handler", [b"pict", b"vide"])
def test_the_first_track_of_pictures_counts(handler: bytes) -> None:
    others = [Track((9 << 16, 9 << 16), [(4_000, [999])], handler=other) for other in (b"auxv", b"soun")]
    first = Track(SIZE, CHUNKS, handler=handler)
    later = Track((8 << 16, 8 << 16), [(4_000, [999])], handler=handler)
    content = movie(*others, box(b"trak", b""), first, later)
    assert read(content) == "AVIF 616 x 462"
    assert is_cut(content, END - 1)


def test_a_movie_in_fragments_has_no_tables_of_samples() -> None:
    content = movie(Track(SIZE, CHUNKS).content().replace(b"stco", b"free"))
    assert read(content) == "AVIF 616 x 462"


@pytest.mark.parametrize("kind", [b"stsz", b"stsc", b"tkhd", b"hdlr", b"stsd", b"mdia", b"stbl"])
def test_a_track_without_a_table_is_ignored(kind: bytes) -> None:
    content = movie(Track(SIZE, CHUNKS).content().replace(kind, b"free"))
    assert read(content) == "not_an_image: the AVIF does not contain an image with a size"


@pytest.mark.parametrize(("kind", "count"), [(b"stsz", 8), (b"stsc", 2), (b"stco", 4)])
def test_a_table_with_fewer_entries_than_it_says_is_ignored(kind: bytes, count: int) -> None:
    said = count.to_bytes(4)
    changes = [
        lambda table: table.replace(said, (count + 1).to_bytes(4), 1),
        lambda table: box(kind, table[8:-1]),
        lambda table: box(kind, table[8:-4]),
    ]
    for change in changes:
        content = movie(Track(SIZE, CHUNKS, changes={kind: change}))
        assert read(content) == "not_an_image: the AVIF does not contain an image with a size"


def test_bytes_after_the_entries_of_a_table_are_ignored() -> None:
    longer = {kind: lambda table: box(table[4:8], table[8:] + b"\xff" * 9) for kind in (b"stsz", b"stsc", b"stco")}
    content = movie(Track(SIZE, CHUNKS, changes=longer))
    assert read(content) == "AVIF 616 x 462"
    assert is_cut(content, END - 1)


def test_a_picture_comes_before_a_track_but_all_of_the_track_is_needed() -> None:
    still = sized(ispe(61, 43), brands=(b"avif", b"avis")).content()
    at = len(still) + 8 + len(Track(SIZE, [(0, [100])]).content()) + 8
    content = still + box(b"moov", Track(SIZE, [(at, [100])]).content()) + box(b"mdat", bytes(100))
    assert read(content) == "AVIF 61 x 43"
    assert is_cut(content, len(content) - 1)
    # A track that is cut itself is not there.
    assert read(content[: at - 20]) == "AVIF 61 x 43"
