"""Formats whose headers Pillow reads, and icons: sizes, cuts, hostile headers, and what is refused at once."""

import io
import struct
import threading
import tracemalloc

import pytest
from PIL import Image, ImageFile

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.domain.outcomes import Measured
from retail_pulse.measuring import steps as steps_module
from retail_pulse.measuring.deadline import deadline
from retail_pulse.measuring.formats import pillow_reader
from retail_pulse.measuring.formats.size import SizeReader
from tests.measuring.bombs import MB
from tests.measuring.rasters import Raster, dib, icon, png, psd, rasters

RASTERS = rasters()
every_raster = pytest.mark.parametrize("raster", RASTERS, ids=lambda raster: raster.name)


def read(content: bytes, block: int = 65_536) -> Measured:
    with SizeReader(max_side=100_000) as reader:
        for start in range(0, len(content), block):
            reader.feed(content[start : start + block])
        return reader.result()


def refusal(content: bytes) -> MeasuringError:
    with pytest.raises(MeasuringError) as caught:
        read(content)
    return caught.value


@every_raster
@pytest.mark.parametrize("block", [13, 65_536])
def test_a_complete_file_has_its_size_however_it_is_split(raster: Raster, block: int) -> None:
    assert read(raster.content, block) == Measured(raster.format, *raster.size, len(raster.content))


@every_raster
def test_a_file_cut_before_what_is_needed_is_truncated(raster: Raster) -> None:
    step = max(1, raster.needed // 100)
    for length in {*range(0, raster.needed, step), *range(max(0, raster.needed - 30), raster.needed)}:
        # With fewer bytes than a signature, it is not recognized as an image.
        wanted = {FailureCode.TRUNCATED} | ({FailureCode.NOT_AN_IMAGE} if length < 64 else set())
        assert refusal(raster.content[:length]).code in wanted, length


@every_raster
def test_no_other_cut_is_noticed(raster: Raster) -> None:
    for length in {raster.needed, (raster.needed + len(raster.content)) // 2}:
        assert (read(raster.content[:length]).width, read(raster.content[:length]).height) == raster.size


@every_raster
def test_bytes_after_the_picture_belong_to_nobody(raster: Raster) -> None:
    assert read(raster.content + b"\n").width == raster.size[0]


@pytest.mark.parametrize("name", ["ICO of Pillow", "ICO of BMPs", "ICO with a PNG"])
def test_pillow_finds_the_same_size_of_an_icon(name: str) -> None:
    (raster,) = (raster for raster in RASTERS if raster.name == name)
    with Image.open(io.BytesIO(raster.content)) as image:
        assert image.size == raster.size


@pytest.mark.parametrize("header", [12, 40, 52, 56, 64, 108, 124])
def test_a_bmp_in_an_icon_has_any_header_of_a_bmp(header: int) -> None:
    sides = struct.pack("<HH" if header == 12 else "<ii", 32, 46)
    picture = struct.pack("<I", header) + sides + bytes(200)
    assert read(icon((32, 23, picture))).perimeter == 110
    for other in (header - 1, header + 1):
        assert refusal(icon((32, 23, struct.pack("<I", other) + sides + bytes(200)))).code is FailureCode.NOT_AN_IMAGE


@pytest.mark.parametrize("height", [1, 43])
def test_a_picture_may_have_sides_of_one_pixel(height: int) -> None:
    assert read(png(1, height)).perimeter == 2 * (1 + height)
    assert read(png(height, 1)).perimeter == 2 * (1 + height)


@pytest.mark.parametrize(("length", "is_read"), [(3_000_000, True), (3 * MB, False)])
def test_the_boxes_of_a_jpeg_2000_may_have_a_colour_profile_of_almost_3_mb(length: int, is_read: bool) -> None:
    (raster,) = (raster for raster in RASTERS if raster.name == "JPEG2000")
    start = raster.content.index(b"jp2h") - 4
    end = start + int.from_bytes(raster.content[start : start + 4])
    boxes = raster.content[start + 8 : end] + struct.pack(">I4s", 8 + length, b"free") + bytes(length)
    header = struct.pack(">I4s", 8 + len(boxes), b"jp2h") + boxes
    content = raster.content[:start] + header + raster.content[end:]
    if is_read:
        assert read(content).width == raster.size[0]
    else:
        assert refusal(content).message == "the header is longer than that of any real image"


def test_no_pixel_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", fail)
    for raster in RASTERS:
        read(raster.content)


def test_a_picture_that_pillow_would_call_a_bomb_has_its_size() -> None:
    content = struct.pack(">4sIIBB", b"qoif", 70_000, 60_000, 3, 0) + b"\0\0\0\0\0\0\0\1"
    assert read(content).perimeter == 260_000


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"<!doctype html><html>", FailureCode.NOT_AN_IMAGE),
        (b'{"error": "gone", "status": 410}', FailureCode.NOT_AN_IMAGE),
        (b"/* a style sheet */ body { margin: 0 }", FailureCode.NOT_AN_IMAGE),
        (b"#define VERSION 3", FailureCode.NOT_AN_IMAGE),
        (b"#include <stdio.h>", FailureCode.NOT_AN_IMAGE),
        (b"P1 is the first of our products.", FailureCode.NOT_AN_IMAGE),
        (b"P6\n12 monkeys ", FailureCode.NOT_AN_IMAGE),
        (b"DDS is short for surface", FailureCode.NOT_AN_IMAGE),
        (b"icns are icons of a Mac", FailureCode.NOT_AN_IMAGE),
        (b"\n\n<html><body>", FailureCode.NOT_AN_IMAGE),
        ("\n\n a text in UTF-16, of blanks".encode("utf-16-le"), FailureCode.NOT_AN_IMAGE),
        (b"PK\3\4\x14\0\0\0\x08\0", FailureCode.NOT_AN_IMAGE),
        (bytes(20), FailureCode.NOT_AN_IMAGE),
        (b"%PDF-1.7\n", FailureCode.UNSUPPORTED_FORMAT),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", FailureCode.UNSUPPORTED_FORMAT),
        (b"\xc5\xd0\xd3\xc6\x20\0\0\0", FailureCode.UNSUPPORTED_FORMAT),
        (b"\xd7\xcd\xc6\x9a\0\0", FailureCode.UNSUPPORTED_FORMAT),
        (b"\1\0\x09\0\0\3", FailureCode.UNSUPPORTED_FORMAT),
        (b"\1\0\0\0".ljust(40, b"\x6c") + b" EMF", FailureCode.UNSUPPORTED_FORMAT),
        (b"<svg xmlns='http://www.w3.org/2000/svg'>", FailureCode.UNSUPPORTED_FORMAT),
        (b"\0\0\0\x0cJXL \r\n\x87\n", FailureCode.UNSUPPORTED_FORMAT),
    ],
)
def test_what_is_no_raster_is_refused_at_its_first_bytes(content: bytes, code: FailureCode) -> None:
    with SizeReader(100_000) as reader, pytest.raises(MeasuringError) as caught:
        # What starts like XML is an SVG or not by its first element, which may come late.
        reader.feed(content.ljust(16 * 1024 if content.lstrip().startswith(b"<") else 64, b"."))
    assert caught.value.code is code


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (psd(3, 16), FailureCode.UNSUPPORTED_FORMAT),
        (b"8BPS\0\2" + psd()[6:], FailureCode.UNSUPPORTED_FORMAT),
        (b"DDS \x7c\0\0\0".ljust(200, b"\0"), FailureCode.UNSUPPORTED_FORMAT),
        (b"P6 12 14 # but it is a text, without numbers after this line\nand so on\n", FailureCode.NOT_AN_IMAGE),
        (b"#define x_width 16\n#define x_size 3\nint main() { return 0; }\n\n\n\n", FailureCode.NOT_AN_IMAGE),
        (icon((16, 16, b"GIF89a".ljust(100))), FailureCode.NOT_AN_IMAGE),
        (icon((0, 0, dib(0, 0))), FailureCode.NOT_AN_IMAGE),
        (icon((0, 0, png(200_000, 16))), FailureCode.TOO_LARGE),
    ],
)
def test_a_file_that_pillow_does_not_read_has_a_code(content: bytes, code: FailureCode) -> None:
    assert refusal(content).code is code


def _boxes(count: int) -> bytes:
    boxes = struct.pack(">I4s", 8, b"free") * count
    return b"\0\0\0\x0cjP  \r\n\x87\n" + struct.pack(">I4s", 8 + len(boxes), b"jp2h") + boxes


HOSTILE = {
    "ICO with 65,535 pictures": b"\0\0\1\0\xff\xff" + bytes(MB),
    "ICNS of parts of one byte": b"icns\x10\0\0\0" + b"\0\0\0\1" * (MB // 2),
    "FITS without an end": b"SIMPLE  =                    T".ljust(80) + b"COMMENT".ljust(80) * 6_000,
    "FLI of 65,535 parts": struct.pack("<IHHHHHHI", 144, 0xAF11, 1, 9, 9, 8, 3, 5).ljust(128, b"\0")
    + struct.pack("<IHH8x", 16, 0xF1FA, 65_535)
    + struct.pack("<IH", 6, 9) * 65_535,
    "JPEG2000 of empty boxes": b"\0\0\0\x0cjP  \r\n\x87\n" + struct.pack(">I4s", 8, b"free") * 6_000,
    "JPEG2000 of empty boxes in a header": _boxes(20_000),
    "JPEG2000 that claims a header of 4 GB": b"\0\0\0\x0cjP  \r\n\x87\n\xff\xff\xff\xffjp2h" + bytes(90),
    "JPEG2000 of empty segments": b"\xff\x4f\xff\x51\0\x29\0\0"
    + b"\0\0\0\x09" * 2
    + bytes(24)
    + b"\0\1\7\1\1"
    + b"\xff\x60\0\2" * 6_000,
    "PPM with a long comment": b"P6 #" + b"x" * 2 * MB,
    "PPM of comments": b"P6 #\n" + b"#\n" * MB,
    "PSD that claims 4 GB of metadata": psd()[:30] + b"\xff\xff\xff\xff8BIM\0\0\0\0\xff\xff\xff\xff" + bytes(MB),
    "PSD of empty metadata": psd(resources=b"8BIM\0\0\0\0\0\0\0\0" * 2_000),
    "PSD of 34 MB of metadata": psd(resources=b"8BIM\0\0\0\0" + struct.pack(">I", 34 * MB) + bytes(34 * MB)),
    "XBM with an endless comment": b"/* */ #define a_width 1\n/*\n" + b"\n" * MB,
    "XBM of a line": b"#define a_width 1\n#define a_height " + b"1" * 2 * MB,
    "XPM of blanks": b'/* XPM */\n"1 1 1 1",\n"' + b"a " * MB + b'",\n',
    "XPM of colours": b'/* XPM */\n"1 1 900000000 1",\n' + b'"a c #000000",\n' * 6_000,
    "GBR with a name of 4 GB": struct.pack(">5I4sI", 2**32 - 1, 2, 9, 9, 1, b"GIMP", 10) + bytes(MB),
    "FTEX with pixels of 2 GB": b"FTEX" + struct.pack("<7iI", 1, 9, 9, 1, 1, 1, 32, 2**31 - 1) + bytes(MB),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_header_takes_few_steps_and_little_memory(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[None] = []
    monkeypatch.setattr(steps_module, "FREE_STEPS", 20_000)
    monkeypatch.setattr(pillow_reader, "_BOXES_BYTES", 100_000)
    monkeypatch.setattr(steps_module, "seconds_left", lambda: steps.append(None))
    content = HOSTILE[name]
    # What is imported counts for nobody.
    read(RASTERS[0].content)
    refusal(content[:1000])
    steps.clear()
    tracemalloc.start()
    try:
        error = refusal(content)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert error.code in {FailureCode.NOT_AN_IMAGE, FailureCode.UNSUPPORTED_FORMAT, FailureCode.TRUNCATED}
    assert not error.is_transient
    assert len(steps) <= 10_001
    # The worst reads as much as a header may have, and happens one at a time.
    assert peak < 36 * MB


def test_headers_are_read_one_at_a_time_until_the_deadline() -> None:
    content = RASTERS[0].content
    with SizeReader(100_000) as reader:
        reader.feed(content)
        with pillow_reader._turn, deadline(0.05), pytest.raises(TimeoutError):
            reader.result()
        assert reader.result().format == RASTERS[0].format


def test_a_header_is_not_read_beyond_the_deadline() -> None:
    with SizeReader(100_000) as reader:
        reader.feed(HOSTILE["PPM with a long comment"])
        with deadline(0), pytest.raises(TimeoutError):
            reader.result()


def test_many_threads_read_headers() -> None:
    found: list[tuple[int, int]] = []

    def read_all() -> None:
        found.extend((measured.width, measured.height) for measured in (read(raster.content) for raster in RASTERS))

    threads = [threading.Thread(target=read_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted([raster.size for raster in RASTERS] * 4)
