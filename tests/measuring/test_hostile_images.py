"""Hostile images take little memory and few steps, and fail with a published code."""

import os
import tempfile
import tracemalloc

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

import retail_pulse.measuring.formats.spool as spool_module
import retail_pulse.measuring.steps as steps_module
from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.measuring.deadline import deadline
from retail_pulse.measuring.formats.size import SizeReader
from retail_pulse.measuring.formats.tiff import TiffReader
from retail_pulse.measuring.steps import StepBudget
from tests.measuring.bombs import MB, bombs, offsets_without_counts
from tests.measuring.corpus import corpus, tiff
from tests.measuring.rasters import rasters

BOMBS = dict(bombs(5 * MB // 2))
HARMLESS = {
    "PNG with a ZIP after it", "TIFF whose directory is its own next", "TIFF of strips without bytes",
}  # fmt: skip
# The part of a TIFF in memory, a meta box, and a table of 65,535 tags with its values.
MAX_BYTES = 2 * MB
BLOCK = 65_536
CASES = int(os.environ.get("FUZZ_CASES", "200"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
NUMBERS = [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\1", b"\1\0\0\0", b"\x7f\xff\xff\xff"]
CONTENTS = [file.content for file in corpus()] + [file.content for file in rasters() if len(file.content) < 20_000]


def outcome(content: bytes, splits: list[int]) -> str:
    """Return the outcome of reading a file in blocks; other exceptions than the domain's are raised."""
    with SizeReader(10_000) as reader:
        try:
            for start, end in zip([0, *splits], [*splits, len(content)], strict=True):
                reader.feed(content[start:end])
            measured = reader.result()
        except MeasuringError as error:
            return error.code
    return f"{measured.format} {measured.width} x {measured.height}"


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_takes_little_memory_and_fails_with_a_code(name: str) -> None:
    content = BOMBS[name]()
    splits = list(range(BLOCK, len(content), BLOCK))
    outcome(content[:100], [])
    tracemalloc.start()
    try:
        found = outcome(content, splits)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MAX_BYTES
    if name.startswith("PNG of 30,000"):
        assert found == FailureCode.TOO_LARGE
    elif name not in HARMLESS:
        assert found in {FailureCode.NOT_AN_IMAGE, FailureCode.TRUNCATED, FailureCode.TOO_LARGE} | (
            {FailureCode.UNSUPPORTED_FORMAT} if "SVG" in name else set()
        )


def test_a_tiff_is_read_in_proportion_to_its_length(monkeypatch: pytest.MonkeyPatch) -> None:
    content, read = offsets_without_counts(500), []

    class CountedFile(tempfile.SpooledTemporaryFile[bytes]):
        def read(self, *args: int) -> bytes:
            data = super().read(*args)
            read.append(len(data))
            return data

    monkeypatch.setattr(tempfile, "SpooledTemporaryFile", CountedFile)
    assert outcome(content, []) == "TIFF 5 x 5"
    assert len(content) / 2 < sum(read) < 2 * len(content)


def test_reading_a_tiffs_directories_ends_with_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    content = BOMBS["TIFF of strips without bytes"]()
    with SizeReader(10_000) as reader:
        reader.feed(content)
        with deadline(0), pytest.raises(TimeoutError):
            reader.result()
        checks: list[None] = []
        monkeypatch.setattr(steps_module, "seconds_left", lambda: checks.append(None))
        reader.result()
    # Once per directory, and once per block of 8,192 values of both tags.
    assert len(checks) > len(content) / 4 / 8_192


def tiff_reader(client: str) -> TiffReader:
    reader = TiffReader(b"", StepBudget())
    reader.client = client
    return reader


def test_concurrent_tiffs_share_the_room_and_release_it(monkeypatch: pytest.MonkeyPatch) -> None:
    content = tiff()
    monkeypatch.setattr(spool_module, "_MAX_BUFFERED_BYTES", 2 * len(content) + 10)
    first, second = tiff_reader("me"), tiff_reader("me")
    first.feed(content)
    with pytest.raises(MeasuringError, match="there is no space to buffer another file") as caught:
        second.feed(content)
    assert caught.value.is_transient
    assert not caught.value.costs_attempt
    first.close()
    second.feed(content)
    assert second.is_complete(len(content))
    second.close()


def test_a_client_holds_no_more_of_the_room_than_it_leaves_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    content = tiff()
    monkeypatch.setattr(spool_module, "_MAX_BUFFERED_BYTES", 2 * len(content) + 10)
    first, other = tiff_reader("mallory"), tiff_reader("alice")
    first.feed(content)
    other.feed(content)
    assert other.is_complete(len(content))
    first.close()
    other.close()
    assert not spool_module._room._held


@st.composite
def broken_files(draw: st.DrawFn) -> tuple[bytes, list[int]]:
    """Draw a complete file with some bytes changed, inserted or removed, split into blocks."""
    content = bytearray(draw(st.sampled_from(CONTENTS)))
    for _ in range(draw(st.integers(0, 6))):
        # Mostly in headers and at the end.
        place = draw(st.one_of(st.integers(0, 300), st.integers(0, len(content)))) % len(content)
        match draw(st.sampled_from(["set", "number", "insert", "delete", "copy"])):
            case "set":
                content[place] = draw(st.integers(0, 255))
            case "number":
                content[place : place + 4] = draw(st.sampled_from(NUMBERS))
            case "insert":
                content[place:place] = draw(st.binary(max_size=20))
            case "delete":
                del content[place : place + draw(st.integers(1, 50))]
            case _:
                content[place:place] = content[: draw(st.integers(1, 200))]
        content = content or bytearray(b"\0")
    if draw(st.booleans()):
        del content[draw(st.integers(0, len(content))) :]
    splits = draw(st.lists(st.integers(0, len(content)), max_size=8))
    return bytes(content), sorted(splits)


@pytest.mark.fuzz
@seed(SEED)
@settings(max_examples=CASES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(broken_files())
def test_a_broken_file_has_one_outcome_however_it_is_split(drawn: tuple[bytes, list[int]]) -> None:
    content, splits = drawn
    assert outcome(content, splits) == outcome(content, []) == outcome(content, list(range(1, len(content), 7)))


@pytest.mark.fuzz
@seed(SEED)
@settings(max_examples=CASES, deadline=None, database=None)
@given(st.sampled_from([content[:12] for content in CONTENTS] + [b""]), st.binary(max_size=300))
def test_any_bytes_after_a_signature_have_an_outcome(signature: bytes, rest: bytes) -> None:
    content = signature + rest
    assert outcome(content, []) == outcome(content, list(range(1, len(content))))
