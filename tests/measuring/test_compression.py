"""Gzip arrives in blocks of any size, and is decompressed in bounded blocks."""

import gzip
import random

import pytest

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.measuring.download.gunzip import Gunzip

BLOCK = 1_000
CONTENT = random.Random(1).randbytes(3_000) + bytes(50_000)


def decompressed(stream: bytes, step: int) -> bytes:
    gunzip = Gunzip(BLOCK)
    blocks = [block for at in range(0, len(stream), step) for block in gunzip.feed(stream[at : at + step])]
    assert all(0 < len(block) <= BLOCK for block in blocks)
    return b"".join(blocks)


@pytest.mark.parametrize("step", [1, 2, 7, 100, 10**6])
@pytest.mark.parametrize("tail", [b"", bytes(600), b"garbage", gzip.compress(b"", mtime=0) * 998])
def test_a_stream_is_decompressed_however_it_is_split(step: int, tail: bytes) -> None:
    stream = gzip.compress(CONTENT[:2_000], mtime=0) + gzip.compress(CONTENT[2_000:], mtime=0) + tail
    assert decompressed(stream, step) == CONTENT


@pytest.mark.parametrize("step", [1, 10**6])
def test_endless_members_are_refused(step: int) -> None:
    with pytest.raises(MeasuringError, match="the gzip body has more than 1,000 members"):
        decompressed(gzip.compress(b"", mtime=0) * 1_001, step)


@pytest.mark.parametrize("stream", [b"<html>", b"\x1f\x8bgarbage", gzip.compress(CONTENT)[:-8] + bytes(8)])
def test_invalid_gzip_is_reported(stream: bytes) -> None:
    with pytest.raises(MeasuringError) as caught:
        decompressed(stream, 10**6)
    assert (caught.value.code, caught.value.is_transient) == (FailureCode.CONNECT_FAILED, False)
    assert caught.value.message == "Content-Encoding is gzip, but the body is not valid gzip"
