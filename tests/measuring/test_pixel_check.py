"""`PixelCheck`: damaged pixels fail as such, and nothing that a file does to its decoder harms the worker."""

import os
import re
import signal
import struct
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, seed, settings

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.domain.hosts import Hosts
from retail_pulse.measuring.deadline import deadline
from retail_pulse.measuring.fetch import Fetcher
from retail_pulse.measuring.formats import pixels as pixels_module
from retail_pulse.measuring.formats.pixels import PixelCheck
from retail_pulse.measuring.formats.size import SizeReader
from tests.measuring.corpus import HEIGHT, WIDTH, CorpusFile, corpus, png_chunk, saved, tiff_directory
from tests.measuring.hostile_server import LOOPBACK, PATIENT, hostile_server, refusal
from tests.measuring.rasters import Raster, rasters
from tests.measuring.test_hostile_images import BOMBS, CASES, SEED, broken_files

MEGABYTES = 384
FILES: list[CorpusFile | Raster] = [*corpus(), *rasters()]
# These two have no pixels after their headers.
FILES = [file for file in FILES if file.name not in {"FLI", "SGI, run lengths"}]
Outcome = Callable[[bytes], str]


@pytest.fixture(scope="module")
def pixels() -> Iterator[PixelCheck]:
    check = PixelCheck(MEGABYTES)
    yield check
    check.close()


@pytest.fixture
def outcome(pixels: PixelCheck) -> Outcome:
    return lambda content: measured(content, pixels)


def measured(content: bytes, pixels: PixelCheck) -> str:
    """Return the format and size of a file, or the code of its failure."""
    with SizeReader(100_000, pixels=pixels) as reader:
        try:
            for start in range(0, len(content), 65_536):
                reader.feed(content[start : start + 65_536])
            found = reader.result()
        except MeasuringError as error:
            return error.code
    return f"{found.format} {found.width} x {found.height}"


def changed(content: bytes, at: int, *replaced: int) -> bytes:
    """Return a file with other bytes at a place."""
    return content[:at] + bytes(replaced) + content[at + len(replaced) :]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_sound_picture_is_measured(file: CorpusFile | Raster, outcome: Outcome) -> None:
    width, height = getattr(file, "size", (WIDTH, HEIGHT))
    assert outcome(file.content) == f"{file.format} {width} x {height}"


PNG, GIF, JPEG, TIFF = saved("PNG"), saved("GIF", "P"), saved("JPEG"), saved("TIFF", compression="tiff_lzw")
PALETTE = saved("PNG", "P")
DAMAGED = {
    "PNG, data": changed(PNG, 2_000, PNG[2_000] ^ 1),
    "PNG, checksum of the data": changed(PNG, len(PNG) - 13, PNG[-13] ^ 1),
    "PNG, checksum of the header": changed(PNG, 32, PNG[32] ^ 1),
    "PNG, checksum of the palette": changed(PALETTE, PALETTE.index(b"PLTE") + 5, 7, 8, 9),
    "PNG, too few rows": PNG[:33] + png_chunk(b"IDAT", zlib.compress(bytes(100))) + png_chunk(b"IEND", b""),
    "GIF, codes": changed(GIF, 1_500, *[0xFF] * 100),
    "JPEG, Huffman table": changed(JPEG, JPEG.index(b"\xff\xc4") + 5, *[0xFF] * 16),
    "JPEG without quantization tables": JPEG.replace(b"\xff\xdb", b"\xff\xef"),
    "TIFF, LZW": changed(TIFF, 1_000, *[0xFF] * 100),
    "TIFF, Deflate": changed(saved("TIFF", compression="tiff_adobe_deflate"), 1_000, *[0xFF] * 100),
    "WebP, first partition": changed(saved("WEBP"), 30, *[0xFF] * 400),
    "AVIF, data": (avif := saved("AVIF"))[: avif.index(b"mdat") + 4] + bytes(len(avif) - avif.index(b"mdat") - 4),
    "ICO with a damaged PNG": changed(ico := saved("ICO", sizes=[(32, 32)]), len(ico) - 30, 1, 2, 3),
    "JPEG 2000 without quantization": saved("JPEG2000").replace(b"\xff\x5c", b"\xff\x64"),
    "TGA, run lengths, cut": saved("TGA", compression="tga_rle")[:4_000],
    "PCX, cut": saved("PCX")[:4_000],
    "PPM, text in place of numbers": b"P2\n4 4\n255\n1 2 3 4 5 six 7 8 9 10 11 12 13 14 15 16\n",
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_pixels_fail_for_good(name: str, pixels: PixelCheck) -> None:
    with SizeReader(100_000, pixels=pixels) as reader:
        reader.feed(DAMAGED[name])
        with pytest.raises(MeasuringError, match=r"the pixels of the \w+ cannot be decoded") as caught:
            reader.result()
    assert (caught.value.code, caught.value.is_transient) == (FailureCode.DAMAGED, False)
    # Without the check, they are measured.
    with SizeReader(100_000) as reader:
        reader.feed(DAMAGED[name])
        assert reader.result().perimeter > 0


def test_a_cut_file_is_truncated_and_not_damaged(outcome: Outcome) -> None:
    assert outcome(PNG[:-20]) == outcome(JPEG[:-20]) == FailureCode.TRUNCATED


def test_pillow_forgives_what_is_wrong_within_the_scans_of_a_jpeg(outcome: Outcome) -> None:
    assert outcome(changed(JPEG, len(JPEG) // 2, *[0x55] * 100)) == "JPEG 61 x 43"


@pytest.mark.parametrize("compression", [34925, 50000, 50001])
def test_a_tiff_that_not_every_pillow_decodes_is_not_checked(compression: int, outcome: Outcome) -> None:
    """LZMA, Zstandard and WebP."""
    plain, other = (struct.pack("<HHII", 259, 3, 1, value) for value in (1, compression))
    content = saved("TIFF").replace(plain, other)
    assert content != saved("TIFF")
    assert outcome(content) == "TIFF 61 x 43"


def test_what_does_not_fit_into_memory_is_not_checked(outcome: Outcome) -> None:
    small = PixelCheck(0)
    broken = DAMAGED["PNG, data"].replace(struct.pack(">II", WIDTH, HEIGHT), struct.pack(">II", 60_000, 40_000), 1)
    header = broken[12:29]
    broken = broken[:29] + struct.pack(">I", zlib.crc32(header)) + broken[33:]
    try:
        assert outcome(broken) == measured(broken, small) == "PNG 60000 x 40000"
        assert measured(DAMAGED["PNG, data"], small) == FailureCode.DAMAGED
    finally:
        small.close()


def test_a_picture_that_is_larger_than_its_header_says_takes_bounded_memory(pixels: PixelCheck) -> None:
    """A tile of 400 MB, of a picture of 16 x 16 pixels."""
    data = zlib.compress(bytes(400_000_000), 1)
    numbers = ((256, 16), (257, 16), (258, 8), (259, 8), (262, 1), (277, 1), (322, 20_000), (323, 20_000))
    tags = [(tag, 4, 1, value) for tag, value in (*numbers, (324, 134), (325, len(data)))]
    content = struct.pack("<2sHI", b"II", 42, 8) + tiff_directory(tags) + data
    assert measured(content, pixels) == "TIFF 16 x 16"
    assert pixels._process is not None
    status = Path(f"/proc/{pixels._process.pid}/status").read_text(encoding="ascii")
    (peak,) = re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    assert int(peak) < 1024 * MEGABYTES


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_has_the_outcome_that_it_has_without_the_check(name: str, outcome: Outcome) -> None:
    content = BOMBS[name]()
    with SizeReader(100_000) as reader:
        try:
            reader.feed(content)
            expected = reader.result().format
        except MeasuringError as error:
            expected = error.code
    assert outcome(content).split()[0] in {expected, FailureCode.DAMAGED}


@pytest.mark.fuzz
@seed(SEED)
@settings(max_examples=CASES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(drawn=broken_files())
def test_a_broken_file_has_a_code(drawn: tuple[bytes, list[int]], pixels: PixelCheck) -> None:
    assert measured(drawn[0], pixels)
    assert pixels._process is None or pixels._process.poll() is None


def test_a_decoder_that_does_not_end_is_ended_and_the_next_picture_has_another(monkeypatch: pytest.MonkeyPatch) -> None:
    check = PixelCheck(MEGABYTES)
    try:
        assert measured(DAMAGED["PNG, data"], check) == FailureCode.DAMAGED
        assert check._process is not None
        process = check._process
        os.kill(process.pid, signal.SIGSTOP)
        monkeypatch.setattr(pixels_module, "_MAX_SECONDS", 0.1)
        assert measured(DAMAGED["PNG, data"], check) == "PNG 61 x 43"
        assert process.poll() == -signal.SIGKILL
        monkeypatch.undo()
        assert measured(DAMAGED["PNG, data"], check) == FailureCode.DAMAGED
    finally:
        check.close()


def test_a_process_that_was_ended_between_two_pictures_is_replaced() -> None:
    check = PixelCheck(MEGABYTES)
    try:
        assert measured(DAMAGED["PNG, data"], check) == FailureCode.DAMAGED
        assert check._process is not None
        check._process.kill()
        check._process.wait()
        assert measured(DAMAGED["PNG, data"], check) == FailureCode.DAMAGED
    finally:
        check.close()


def test_a_check_that_does_not_start_is_transient_and_costs_no_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    for executable in ("/bin/false", "/nowhere"):
        monkeypatch.setattr(sys, "executable", executable)
        with SizeReader(100_000, pixels=PixelCheck(MEGABYTES)) as reader:
            reader.feed(PNG)
            with pytest.raises(MeasuringError, match="the pixel check does not start") as caught:
                reader.result()
        assert (caught.value.is_transient, caught.value.costs_attempt) == (True, False)


def test_a_check_that_is_busy_until_the_deadline_is_transient_and_costs_no_attempt(pixels: PixelCheck) -> None:
    with SizeReader(100_000, pixels=pixels) as reader:
        reader.feed(PNG)
        with pixels._turn, deadline(0.05), pytest.raises(MeasuringError, match="the pixel check is busy") as caught:
            reader.result()
    assert (caught.value.is_transient, caught.value.costs_attempt) == (True, False)


def test_threads_take_turns(pixels: PixelCheck) -> None:
    found: list[str] = []
    contents = [PNG, DAMAGED["GIF, codes"], JPEG] * 5
    threads = [threading.Thread(target=lambda: found.extend(measured(c, pixels) for c in contents)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted(["PNG 61 x 43", FailureCode.DAMAGED, "JPEG 61 x 43"] * 20)


def test_the_process_gets_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    check = PixelCheck(MEGABYTES)
    try:
        measured(PNG, check)
        assert check._process is not None
        assert b"secret" not in Path(f"/proc/{check._process.pid}/environ").read_bytes()
    finally:
        check.close()


def test_a_fetcher_with_the_check_reports_damaged_pixels(pixels: PixelCheck) -> None:
    content = DAMAGED["PNG, data"]
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content) + content
    with hostile_server(answer) as server:
        error = refusal(Fetcher(PATIENT, LOOPBACK, Hosts(1), pixels=pixels), server.url("/a.png"))
    assert error.code is FailureCode.DAMAGED
