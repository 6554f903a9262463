"""Reading an image takes a number of steps that what was sent bounds; real files have as many as they need."""

import gzip
import io
import re
import struct
from collections.abc import Callable

import pytest
from PIL import Image

from retail_pulse.domain.failures import MeasuringError
from retail_pulse.measuring.deadline import deadline
from retail_pulse.measuring.download.gunzip import Gunzip
from retail_pulse.measuring.formats.size import SizeReader
from retail_pulse.measuring.steps import BYTES_PER_STEP, FREE_STEPS, StepBudget
from tests.measuring.bombs import MB, bombs
from tests.measuring.corpus import box, corpus, jpeg_segment, png_chunk, saved, tiff_directory
from tests.measuring.iso_files import Iso, Item, ftyp, full, ispe
from tests.measuring.quirks import Directory, gif_picture, tiff_of
from tests.measuring.quirks import gif as animation

BLOCK = 128 * 1024
BOMBS = dict(bombs(6 * MB))
ENDLESS = [
    "PNG of empty chunks", "JPEG of empty segments", "JPEG of segments of length 0", "JPEG of fill bytes",
    "GIF of empty extensions", "GIF of sub-blocks of one byte", "GIF of padding",
    "TIFF of directories that share strips", "TIFF of lists that share strips", "TIFF of offsets without counts",
    "TIFF of directories that share sub-directories", "TIFF of a list of sub-directories",
    "HEIC of empty boxes", "HEIC of tracks without a box", "HEIC of descriptions without an item",
    "AVIF with 60,000 extents", "AVIF with 40,000 items", "AVIF with properties of 60,000 items",
    "AVIF with 250,000 associations", "AVIF with 32,000 properties", "AVIF with a chain of 16,000 pictures",
    "AVIF with 62,000 chunks",
]  # fmt: skip
TOO_MANY_STEPS = r"not_an_image: the file takes more than [\d,]+ steps to read"


class CountingBudget(StepBudget):
    """Counts what is spent."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0

    def spend(self, steps: int) -> None:
        self.steps += steps
        super().spend(steps)


def read(sent: bytes, *, zipped: bool = False, block: int = BLOCK) -> tuple[str, CountingBudget]:
    """Return the size or the error's message, and what was counted, of a file that is sent as it is or in gzip."""
    budget, gunzip = CountingBudget(), Gunzip(65_536) if zipped else None
    with SizeReader(100_000, budget) as reader:
        try:
            for start in range(0, len(sent), block):
                data = sent[start : start + block]
                budget.received(len(data))
                for piece in (data,) if gunzip is None else gunzip.feed(data):
                    reader.feed(piece)
            measured = reader.result()
        except MeasuringError as error:
            return str(error), budget
    return f"{measured.width} x {measured.height}", budget


def test_steps_are_free_up_to_a_number_and_then_come_with_bytes() -> None:
    budget = StepBudget()
    budget.spend(FREE_STEPS)
    budget.received(BYTES_PER_STEP - 1)
    with pytest.raises(MeasuringError, match="not_an_image: the file takes more than 30,000 steps to read"):
        budget.spend(1)
    budget = StepBudget()
    budget.received(1)
    budget.received(BYTES_PER_STEP - 1)
    budget.spend(FREE_STEPS + 1)
    with pytest.raises(MeasuringError, match="30,001 steps"):
        budget.spend(1)


def test_steps_end_with_the_deadline() -> None:
    with deadline(0), pytest.raises(TimeoutError):
        StepBudget().spend(1)


@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("name", ENDLESS)
def test_endless_parts_are_refused(name: str, zipped: bool) -> None:
    content = BOMBS[name]()
    outcome, _ = read(gzip.compress(content) if zipped else content, zipped=zipped)
    assert re.fullmatch(TOO_MANY_STEPS, outcome)


@pytest.mark.parametrize("name", ["PNG of empty chunks", "GIF of sub-blocks of one byte", "AVIF with 60,000 extents"])
def test_without_a_budget_of_the_caller_the_bytes_of_the_file_count(name: str) -> None:
    content = BOMBS[name]()
    with SizeReader(100_000) as reader, pytest.raises(MeasuringError, match=TOO_MANY_STEPS):
        reader.feed(content)


@pytest.mark.parametrize("name", ["PNG of empty chunks", "GIF of sub-blocks of one byte", "AVIF with 60,000 extents"])
def test_the_deadline_ends_the_reading_of_a_block(name: str) -> None:
    content = BOMBS[name]()
    with SizeReader(100_000) as reader, deadline(0), pytest.raises(TimeoutError):
        reader.feed(content[:263_000])


@pytest.mark.parametrize(
    "name",
    ["PNG of empty chunks", "JPEG of empty segments", "GIF of sub-blocks of one byte", "HEIC of empty boxes"],
)
def test_parts_count_in_small_blocks_too(name: str) -> None:
    outcome, _ = read(BOMBS[name]()[:600_000], block=20)
    assert re.fullmatch(TOO_MANY_STEPS, outcome)


def test_no_file_of_the_corpus_takes_more_than_a_fiftieth_of_the_budget() -> None:
    assert max(read(file.content)[1].steps for file in corpus()) < FREE_STEPS / 50


def described(kind: bytes, content: bytes) -> bytes:
    """Return a HEIC with another content of one of its boxes."""
    return Iso([Item(1, properties=[1])], [ispe(9, 5)], changes={kind: lambda _: full(kind, content)}).content()


PARTS: dict[str, tuple[Callable[[int], bytes], float]] = {
    "boxes": (lambda count: ftyp(b"heic") + box(b"free", b"") * count * 64, 64),
    # A box, and reading what was kept of it.
    "tracks": (lambda count: ftyp(b"heic") + box(b"moov", box(b"trak", b"") * count * 64), 64 * 9),
    # Entries of 3 bytes: a quarter of a step each, and one for 8 bytes.
    "items in ipma": (lambda count: described(b"ipma", struct.pack(">I", count) + b"\0\2\0" * count), 0.25 + 3 / 8),
    # Half a step for each byte of indices.
    "properties of an item": (
        lambda count: described(b"ipma", struct.pack(">I", count) + (b"\0\1\x64" + b"\1" * 100) * count),
        0.25 + 50 + 103 / 8,
    ),
    "items in iloc": (
        lambda count: described(b"iloc", b"\x44\0" + struct.pack(">H", count) + bytes(6) * count), 0.5 + 6 / 8
    ),
    "extents": (
        lambda count: described(b"iloc", b"\x44\0\0\1\0\1\0\0" + struct.pack(">H", count) + bytes(8) * count),
        0.5 + 8 / 8,
    ),
    # Twice: for the primary item, and for those that it consists of.
    "references": (lambda count: described(b"iref", box(b"dimg", b"\0\1\0\1\0\2") * count), 14 / 8 + 2 * 14 / 8),
}  # fmt: skip


@pytest.mark.parametrize("name", PARTS)
def test_parts_of_a_description_take_steps(name: str) -> None:
    content, each = PARTS[name]
    few, many = read(content(10))[1].steps, read(content(40))[1].steps
    # But for what rounding down takes away.
    assert abs(many - few - 30 * each) <= 3


def gif(frames: int) -> bytes:
    """Return an animation whose frames change a pixel: the smallest ones that an encoder writes."""
    whole = saved("GIF", "P")
    frame = b"!\xf9\4\4\2\0\0\0," + struct.pack("<HHHHB", 5, 5, 1, 1, 0) + b"\2\2\x44\1\0"
    return whole[:-1] + frame * frames + b";"


def jpeg_of_segments(count: int) -> bytes:
    content = saved("JPEG", restart_marker_blocks=1)
    return content[:2] + jpeg_segment(0xE2, bytes(12)) * count + content[2:]


def png_of_small_chunks(count: int) -> bytes:
    content = saved("PNG")
    return content[:33] + png_chunk(b"tEXt", b"Comment\0x") * count + content[33:]


def tiff_of_rows(height: int) -> bytes:
    """Return a TIFF with a strip of 8 bytes for each row, as fax software writes."""
    at = 8 + 8 * height
    offsets = struct.pack(f"<{height}I", *range(8, at, 8))
    lengths = struct.pack(f"<{height}I", *[8] * height)
    tags = [(256, 4, 1, 8), (257, 4, 1, height), (273, 4, height, at), (279, 4, height, at + 4 * height)]
    head = struct.pack("<2sHI", b"II", 42, at + 8 * height)
    return head + bytes(8 * height) + offsets + lengths + tiff_directory(tags)


def tiff_of_pages(count: int) -> bytes:
    pages = [Image.new("1", (200, 100)) for _ in range(count)]
    buffer = io.BytesIO()
    pages[0].save(buffer, "TIFF", save_all=True, append_images=pages[1:])
    return buffer.getvalue()


def sub_blocks(count: int) -> bytes:
    return animation((5, 5), gif_picture(0, 0, 5, 5)) + b"!\xfe" + b"\1x" * count + b"\0;"


def directories(count: int) -> bytes:
    return tiff_of(*[Directory(1, 1)] * count)


def tags(count: int) -> bytes:
    return tiff_of(Directory(1, 1, dict.fromkeys(range(1_000, 1_000 + count), 0)))


def strips(count: int) -> bytes:
    return tiff_of(Directory(1, 1, typed_tags=[(tag, 1, count, 0) for tag in (273, 279)])) + bytes(count)


@pytest.mark.parametrize(
    ("make", "more", "steps"),
    [
        (sub_blocks, 40_000, 5_000), (directories, 1_000, 24_000), (tags, 20_000, 5_000), (strips, 48_000, 4_000),
        (jpeg_of_segments, 8_000, 8_000), (png_of_small_chunks, 8_000, 8_000),
    ],
)  # fmt: skip
def test_parts_take_steps_in_proportion(make: Callable[[int], bytes], more: int, steps: int) -> None:
    found = [read(make(count))[1].steps for count in (100, 100 + more)]
    # Steps are counted in portions, and reading a block of 8,192 strips takes some by itself.
    assert found[1] - found[0] == pytest.approx(steps, abs=150)


@pytest.mark.parametrize(
    ("content", "size"),
    [
        (gif(5_000), "61 x 43"), (jpeg_of_segments(10_000), "61 x 43"), (png_of_small_chunks(20_000), "61 x 43"),
        (tiff_of_rows(60_000), "8 x 60000"), (tiff_of_pages(500), "200 x 100"),
    ],
    ids=["GIF of 5,000 frames", "JPEG of 10,000 segments", "PNG of 20,000 chunks", "TIFF of 60,000 strips",
         "TIFF of 500 pages"],
)  # fmt: skip
def test_real_files_have_as_many_parts_as_they_need(content: bytes, size: str) -> None:
    assert read(content)[0] == size


def test_a_gif_of_full_sub_blocks_may_have_any_number_of_them() -> None:
    head, part = animation((5, 5), gif_picture(0, 0, 5, 5)) + b"!\xfe", (b"\xff" + b"x" * 255) * 20_000
    with SizeReader(10_000) as reader:
        reader.feed(head)
        for _ in range(20):
            reader.feed(part)
        reader.feed(b"\0;")
        assert reader.result().width == 5


@pytest.mark.parametrize("length", [1, 31, 60])
def test_endless_short_sub_blocks_are_refused(length: int) -> None:
    head, part = b"GIF89a\5\0\5\0\0\0\0!\xfe", bytes([length]) + b"x" * length
    outcome, _ = read(head + part * 800_000)
    assert re.fullmatch(TOO_MANY_STEPS, outcome)
