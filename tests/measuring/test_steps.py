"""Reading an image takes a number of steps that what was sent bounds; real files have as many as they need."""

import gzip
import io
import re
import struct

import pytest
from PIL import Image

from retail_pulse.domain.failures import MeasuringError
from retail_pulse.measuring.deadline import deadline
from retail_pulse.measuring.download.gunzip import Gunzip
from retail_pulse.measuring.formats.size import SizeReader
from retail_pulse.measuring.steps import BYTES_PER_STEP, FREE_STEPS, StepBudget
from tests.measuring.bombs import MB, bombs
from tests.measuring.corpus import corpus, jpeg_segment, png_chunk, saved, tiff_directory
from tests.measuring.quirks import gif as animation
from tests.measuring.quirks import gif_picture

BLOCK = 128 * 1024
BOMBS = dict(bombs(5 * MB // 2))
ENDLESS = [
    "PNG of empty chunks", "JPEG of empty segments", "JPEG of segments of length 0", "GIF of empty extensions",
    "GIF of sub-blocks of one byte", "TIFF of directories that share strips", "TIFF of lists that share strips",
    "TIFF of offsets without counts", "TIFF of directories that share sub-directories",
    "TIFF of a list of sub-directories", "HEIC of empty boxes", "AVIF with 262,000 extents",
    "AVIF with properties of 60,000 items",
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


def read(sent: bytes, *, zipped: bool = False) -> tuple[str, CountingBudget]:
    """Return the size or the error's message, and what was counted, of a file that is sent as it is or in gzip."""
    budget, gunzip = CountingBudget(), Gunzip(65_536) if zipped else None
    with SizeReader(100_000, budget) as reader:
        try:
            for start in range(0, len(sent), BLOCK):
                block = sent[start : start + BLOCK]
                budget.received(len(block))
                for piece in (block,) if gunzip is None else gunzip.feed(block):
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
    content = BOMBS[name]
    outcome, _ = read(gzip.compress(content) if zipped else content, zipped=zipped)
    assert re.fullmatch(TOO_MANY_STEPS, outcome)


@pytest.mark.parametrize("name", ["PNG of empty chunks", "GIF of sub-blocks of one byte", "AVIF with 262,000 extents"])
def test_without_a_budget_of_the_caller_the_bytes_of_the_file_count(name: str) -> None:
    content = BOMBS[name]
    with SizeReader(100_000) as reader, pytest.raises(MeasuringError, match=TOO_MANY_STEPS):
        reader.feed(content)


@pytest.mark.parametrize("name", ["PNG of empty chunks", "GIF of sub-blocks of one byte", "AVIF with 262,000 extents"])
def test_the_deadline_ends_the_reading_of_a_block(name: str) -> None:
    content = BOMBS[name]
    with SizeReader(100_000) as reader, deadline(0), pytest.raises(TimeoutError):
        reader.feed(content[:263_000])


def test_no_file_of_the_corpus_takes_more_than_a_fiftieth_of_the_budget() -> None:
    assert max(read(file.content)[1].steps for file in corpus()) < FREE_STEPS / 50


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
