"""PNG, BMP, JPEG and WebP: which files are whole, as browsers and Pillow see it."""

import io
import struct
from collections.abc import Callable

import pytest
from PIL import Image

from retail_pulse.domain.failures import FailureCode
from tests.measuring.corpus import jpeg_segment, png_chunk, saved
from tests.measuring.quirks import outcome

NOT_AN_IMAGE, TRUNCATED = FailureCode.NOT_AN_IMAGE, FailureCode.TRUNCATED
SIZE = (61, 43)
SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER = png_chunk(b"IHDR", struct.pack(">IIBBBBB", *SIZE, 8, 0, 0, 0, 0))
DATA, TEXT, END = png_chunk(b"IDAT", b"x" * 20), png_chunk(b"tEXt", b"a\0IDAT"), png_chunk(b"IEND", b"")
APPLE = png_chunk(b"CgBI", b"\x50\0\x20\6")
ANIMATED = png_chunk(b"acTL", struct.pack(">II", 1, 0)) + png_chunk(b"fcTL", bytes(26))


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([HEADER, DATA, END], SIZE),
        ([HEADER, TEXT, DATA, DATA, TEXT, END], SIZE),
        ([HEADER, DATA, END, b"\n"], SIZE),
        ([HEADER, DATA, END, DATA], SIZE),
        ([APPLE, HEADER, DATA, END], SIZE),
        ([HEADER, ANIMATED, DATA, END], SIZE),
        ([HEADER, END], NOT_AN_IMAGE),
        ([HEADER, TEXT, END], NOT_AN_IMAGE),
        ([HEADER, END, DATA], NOT_AN_IMAGE),
        ([HEADER, ANIMATED, png_chunk(b"fdAT", bytes(30)), END], NOT_AN_IMAGE),
        ([TEXT, HEADER, DATA, END], NOT_AN_IMAGE),
        ([DATA, HEADER, END], NOT_AN_IMAGE),
        ([APPLE, DATA, HEADER, END], NOT_AN_IMAGE),
        ([END], TRUNCATED),
        ([HEADER, DATA], TRUNCATED),
        ([HEADER, DATA, TEXT], TRUNCATED),
        ([HEADER, TEXT], TRUNCATED),
    ],
)
def test_a_png_has_pixels_between_its_header_and_its_end(chunks: list[bytes], expected: object) -> None:
    content = SIGNATURE + b"".join(chunks)
    assert outcome(content) == outcome(content, 1) == outcome(content, 13) == expected


def test_a_png_is_cut_until_the_last_byte_of_its_end() -> None:
    content = SIGNATURE + HEADER + DATA + END
    assert {outcome(content[:length]) for length in range(12, len(content))} == {TRUNCATED}
    assert outcome(content[:-4] + b"x") is TRUNCATED


def bmp(width: int, height: int, bits: int, *, header: int = 40, compression: int = 0, size: int = 0) -> bytes:
    """Return the headers and the palette of a BMP."""
    masks = 12 if compression in (3, 6) and header == 40 else 0
    palette = (3 if header == 12 else 4) * 2**bits if bits <= 8 else 0
    if header == 12:
        info = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        info = struct.pack("<IiiHHII", header, width, height, 1, bits, compression, size)[:header].ljust(header, b"\0")
    start = 14 + len(info) + masks + palette
    return struct.pack("<2sIII", b"BM", 0, 0, start) + info + bytes(masks + palette)


@pytest.mark.parametrize("bits", [1, 4, 8, 16, 24, 32])
@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 8, 9, 31, 32, 33])
@pytest.mark.parametrize("height", [1, 2, 3, -3])
def test_a_bmp_may_end_without_the_padding_of_its_last_row(bits: int, width: int, height: int) -> None:
    head = bmp(width, height, bits)
    row = -(-width * bits // 8)
    pixels = bytes(-(-row // 4) * 4 * (abs(height) - 1) + row)
    assert outcome(head + pixels) == (width, abs(height))
    assert outcome(head + pixels[:-1]) is TRUNCATED
    assert outcome(head + pixels + b"more") == (width, abs(height))


@pytest.mark.parametrize("bits", [8, 24])
def test_pillow_reads_a_bmp_without_the_padding_of_its_last_row(bits: int) -> None:
    row = 5 * bits // 8
    with Image.open(io.BytesIO(bmp(5, 3, bits) + bytes(2 * -(-row // 4) * 4 + row))) as image:
        image.load()


@pytest.mark.parametrize(
    ("header", "compression", "by_rows"),
    [
        (12, 0, True), (16, 0, True), (40, 0, True), (40, 3, True), (40, 6, True), (52, 3, True), (56, 3, True),
        (64, 0, True), (108, 3, True), (124, 3, True), (40, 1, False), (40, 2, False), (40, 4, False), (40, 5, False),
        (64, 1, False), (64, 3, False), (64, 4, False), (108, 1, False),
    ],
)  # fmt: skip
def test_a_bmp_ends_with_its_rows_or_with_the_length_of_its_compressed_pixels(
    header: int, compression: int, by_rows: bool
) -> None:
    head = bmp(5, 3, 24, header=header, compression=compression, size=99)
    length = 2 * 16 + 15 if by_rows else 99
    assert outcome(head + bytes(length)) == (5, 3)
    assert outcome(head + bytes(length - 1)) is TRUNCATED


def test_a_compressed_bmp_has_the_length_of_the_file_that_it_declares() -> None:
    head = bytearray(bmp(5, 3, 8, compression=1, size=0))
    head[2:6] = struct.pack("<I", len(head) + 20)
    assert outcome(bytes(head) + bytes(20)) == (5, 3)
    assert outcome(bytes(head) + bytes(19)) is TRUNCATED


@pytest.mark.parametrize("header", [0, 11, 13, 39, 41, 63, 65, 107, 109, 123, 125, 2**31])
def test_a_bmp_with_an_unknown_header_is_not_an_image(header: int) -> None:
    assert outcome(struct.pack("<2sIIII", b"BM", 0, 0, 54, header) + bytes(200)) is NOT_AN_IMAGE


@pytest.mark.parametrize(("width", "height"), [(0, 3), (5, 0), (-5, 3)])
def test_a_bmp_without_any_extent_is_not_an_image(width: int, height: int) -> None:
    assert outcome(bmp(width, height, 24) + bytes(200)) is NOT_AN_IMAGE


FRAME = jpeg_segment(0xC0, struct.pack(">BHHB", 8, 43, 61, 1) + b"\1\x11\0")
SCAN = jpeg_segment(0xDA, b"\1\1\0\0\x3f\0") + b"\x12\x34\xff\0\x56"
TABLES = jpeg_segment(0xC4, bytes(20)) + jpeg_segment(0xDB, bytes(65))


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([TABLES, FRAME, SCAN, b"\xff\xd9"], SIZE),
        ([FRAME, SCAN, b"\xff\xd0\x12\xff\xd7", SCAN, b"\xff\xd9"], SIZE),
        ([FRAME, SCAN, b"\xff\xd9", b"\n"], SIZE),
        ([FRAME, SCAN, b"\xff\xff\xd9"], SIZE),
        ([FRAME, jpeg_segment(0xDA, b"\1\1\0\0\x3f\0"), b"\xff\xd9"], SIZE),
        ([jpeg_segment(0xE0, FRAME.replace(b"\0\x2b", b"\0\x01")), FRAME, SCAN, b"\xff\xd9"], SIZE),
        ([FRAME, FRAME.replace(b"\0\x2b", b"\0\x01"), SCAN, b"\xff\xd9"], SIZE),
        ([b"\xff\x01\xff\xd8\xff\xd0\xff\xd7\xff\0", FRAME, SCAN, b"\xff\xd9"], SIZE),
        ([b"\xff\xff\xff", FRAME, b"\xff", SCAN, b"\xff\xd9"], SIZE),
        ([b"\0\0xx", FRAME, b"yy", SCAN, b"\xff\xd9"], SIZE),
        ([b"\xff\xe0\0\0", b"\xff\xe1\0\1", b"\xff\xe1\0\2", FRAME, SCAN, b"\xff\xd9"], SIZE),
        ([jpeg_segment(0xFE, b"\xff\xd9\xff\xda"), FRAME, SCAN, b"\xff\xd9"], SIZE),
        # A comment, and a scan's header, that hold an end marker.
        ([FRAME, jpeg_segment(0xDA, b"\1\1\0\xff\xd9\0"), b"\x12"], TRUNCATED),
        ([FRAME, jpeg_segment(0xFE, b"\xff\xd9"), SCAN], TRUNCATED),
        ([FRAME, jpeg_segment(0xDA, b"\1\1\0\0\x3f\xff"), b"\xd9\x12"], TRUNCATED),
        ([FRAME, SCAN], TRUNCATED),
        ([FRAME, SCAN, b"\xff"], TRUNCATED),
        ([FRAME, SCAN, b"\xff", SCAN, b"\xd9"], TRUNCATED),
        ([FRAME], TRUNCATED),
        ([TABLES], TRUNCATED),
        ([FRAME, b"\xff\xd9", SCAN, b"\xff\xd9"], NOT_AN_IMAGE),
        ([TABLES, SCAN, b"\xff\xd9"], NOT_AN_IMAGE),
    ],
)
def test_a_jpeg_has_an_end_marker_after_its_first_scan(parts: list[bytes], expected: object) -> None:
    content = b"\xff\xd8" + b"".join(parts)
    content = content if content[2] == 0xFF else b"\xff\xd8\xff\xfe\0\2" + content[2:]
    blocks = (1, 2, 3, 5, 7, 11, 13, 70_000)
    assert {outcome(content, block) for block in blocks} == {expected}


@pytest.mark.parametrize("marker", range(0xC0, 0xFF))
def test_a_jpegs_frame_header_is_one_of_thirteen_markers(marker: int) -> None:
    frames = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
    content = b"\xff\xd8" + jpeg_segment(marker, FRAME[4:]) + FRAME.replace(b"\0\x2b", b"\0\x01") + SCAN + b"\xff\xd9"
    if marker in (*range(0xD0, 0xD9), 0xD9, 0xDA):
        return  # without a length, or the end of the header
    assert outcome(content) == (SIZE if marker in frames else (61, 1))


def test_pillow_misses_the_end_marker_too() -> None:
    with Image.open(io.BytesIO(saved("JPEG")[:-2])) as image, pytest.raises(OSError, match="truncated"):
        image.load()


def webp(kind: bytes, content: bytes, *, riff: int | None = None, size: int | None = None) -> bytes:
    """Return a WebP of one chunk, padded to an even length."""
    chunk = kind + struct.pack("<I", len(content) if size is None else size) + content + bytes(len(content) % 2)
    return b"RIFF" + struct.pack("<I", 4 + len(chunk) if riff is None else riff) + b"WEBP" + chunk


def lossy(width: int, height: int, *, frame: int = 0, mark: bytes = b"\x9d\x01\x2a") -> bytes:
    return webp(b"VP8 ", bytes([frame, 0, 0]) + mark + struct.pack("<HH", width, height) + bytes(41))


def lossless(width: int, height: int, mark: int = 0x2F) -> bytes:
    return webp(b"VP8L", struct.pack("<BI", mark, width - 1 | height - 1 << 14) + bytes(46))


def extended(width: int, height: int) -> bytes:
    sides = b"".join((side - 1).to_bytes(3, "little") for side in (width, height))
    return webp(b"VP8X", bytes(4) + sides) + bytes(40)


@pytest.mark.parametrize("make", [lossy, lossless, extended])
@pytest.mark.parametrize("size", [(61, 43), (1, 1), (16_383, 2), (3, 16_383), (258, 513)])
def test_a_webp_has_the_size_of_its_first_chunk(make: Callable[[int, int], bytes], size: tuple[int, int]) -> None:
    assert outcome(make(*size)) == outcome(make(*size), 1) == size


def test_a_webp_may_have_the_largest_sizes() -> None:
    assert outcome(lossless(16_384, 16_384)) == (16_384, 16_384)
    assert outcome(extended(70_000, 99_999)) == (70_000, 99_999)
    # Lossy ones have a scale above the size.
    assert outcome(lossy(61 | 1 << 14, 43 | 3 << 14)) == SIZE


@pytest.mark.parametrize(
    "content",
    [
        lossy(61, 43, frame=1), lossy(61, 43, mark=b"\x9d\x01\x2b"), lossless(61, 43, 0x2E), webp(b"ANMF", bytes(50)),
        webp(b"VP8?", bytes(50)),
    ],
    ids=["not a key frame", "no start code", "no signature", "another chunk", "unknown chunk"],
)  # fmt: skip
def test_a_webp_starts_with_a_picture(content: bytes) -> None:
    assert outcome(content) is NOT_AN_IMAGE


def test_a_webp_ends_with_its_container_and_its_first_chunk() -> None:
    content = lossless(61, 43)
    assert len(content) % 2 == 0
    assert outcome(content + b"\n") == SIZE
    # The padding of a chunk of odd length belongs to it: neither Pillow nor Chromium shows the picture without it.
    assert outcome(content[:-1]) is TRUNCATED
    shorter = content[:4] + struct.pack("<I", 4) + content[8:]
    assert outcome(shorter[:-1]) == SIZE
    assert outcome(shorter[:-2]) is TRUNCATED
    longer = content[:4] + struct.pack("<I", len(content) - 7) + content[8:]
    assert outcome(longer) is TRUNCATED
    assert outcome(longer + b"x") == SIZE


def test_pillow_refuses_a_webp_without_its_last_byte() -> None:
    with (
        pytest.raises(OSError, match="could not create decoder"),
        Image.open(io.BytesIO(saved("WEBP", lossless=True)[:-1])) as image,
    ):
        image.load()
