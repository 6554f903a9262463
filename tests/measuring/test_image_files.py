"""Sizes and ends of the corpus: complete files are measured, cut ones are truncated."""

import io

import pytest
from PIL import Image, UnidentifiedImageError

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.domain.outcomes import Measured
from retail_pulse.measuring.formats.size import SizeReader
from tests.measuring.corpus import HEIGHT, WIDTH, CorpusFile, corpus, cuts, heif

FILES = corpus()
CUTS = 60


def read(content: bytes, block: int = 65_536) -> Measured:
    with SizeReader(max_side=100_000) as reader:
        for start in range(0, len(content), block):
            reader.feed(content[start : start + block])
        return reader.result()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
@pytest.mark.parametrize("block", [1, 13, 65_536])
def test_a_complete_file_has_its_size_however_it_is_split(file: CorpusFile, block: int) -> None:
    assert read(file.content, block) == Measured(file.format, *file.size, len(file.content))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
@pytest.mark.parametrize("block", [13, 65_536])
def test_a_block_may_change_after_it_was_read(file: CorpusFile, block: int) -> None:
    buffer = memoryview(bytearray(block))
    with SizeReader(max_side=100_000) as reader:
        for start in range(0, len(file.content), block):
            part = file.content[start : start + block]
            buffer[: len(part)] = part
            reader.feed(buffer[: len(part)])
            buffer[:] = bytes(block)
        assert reader.result() == Measured(file.format, *file.size, len(file.content))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_pillow_reads_the_same_size(file: CorpusFile) -> None:
    try:
        with Image.open(io.BytesIO(file.content)) as image:
            size = image.size
    except (UnidentifiedImageError, OSError, UserWarning):
        # HEIC, Apple's PNG, big-endian BigTIFF.
        pytest.skip("Pillow does not read it")
    assert sorted(size) == sorted((WIDTH, HEIGHT))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_file_cut_anywhere_before_its_end_is_truncated(file: CorpusFile) -> None:
    for length in cuts(file, CUTS):
        with pytest.raises(MeasuringError) as caught:
            read(file.content[:length])
        # With fewer bytes than a signature, it is not recognized as an image.
        wanted = {FailureCode.TRUNCATED} | ({FailureCode.NOT_AN_IMAGE} if length < 12 else set())
        assert caught.value.code in wanted, length


@pytest.mark.parametrize("file", [file for file in FILES if file.whole_bytes < len(file.content)], ids=lambda f: f.name)
def test_a_file_cut_after_its_image_is_complete(file: CorpusFile) -> None:
    assert read(file.content[: file.whole_bytes]).width == WIDTH


@pytest.mark.parametrize("file", [file for file in FILES if file.block_ends], ids=lambda file: file.name)
def test_a_gif_cut_at_a_blocks_end_after_its_first_picture_is_complete(file: CorpusFile) -> None:
    assert {read(file.content[:end]).perimeter for end in file.block_ends} == {2 * (WIDTH + HEIGHT)}


def test_the_primary_image_counts_even_if_other_properties_precede_its_size() -> None:
    assert read(heif(4_032, 3_024)).perimeter == 2 * (4_032 + 3_024)
