"""Gzip comes in blocks of any size, and goes on in blocks of a bounded one."""

import gzip
import random

import pytest

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.measuring.download.gunzip import Gunzip

BLOCK = 1_000
CONTENT = random.Random(1).randbytes(3_000) + bytes(50_000)


def inflated(stream: bytes, step: int) -> bytes:
    gunzip = Gunzip(BLOCK)
    blocks = [block for at in range(0, len(stream), step) for block in gunzip.feed(stream[at : at + step])]
    assert all(0 < len(block) <= BLOCK for block in blocks)
    return b"".join(blocks)


@pytest.mark.parametrize("step", [1, 2, 7, 100, 10**6])
@pytest.mark.parametrize("behind", [b"", bytes(600), b"garbage", gzip.compress(b"", mtime=0) * 998])
def test_all_of_a_stream_comes_out_however_it_goes_in(step: int, behind: bytes) -> None:
    stream = gzip.compress(CONTENT[:2_000], mtime=0) + gzip.compress(CONTENT[2_000:], mtime=0) + behind
    assert inflated(stream, step) == CONTENT


@pytest.mark.parametrize("step", [1, 10**6])
def test_members_without_end_are_given_up(step: int) -> None:
    with pytest.raises(MeasuringError, match="the gzip body has more than 1,000 members"):
        inflated(gzip.compress(b"", mtime=0) * 1_001, step)


@pytest.mark.parametrize("stream", [b"<html>", b"\x1f\x8bgarbage", gzip.compress(CONTENT)[:-8] + bytes(8)])
def test_what_is_no_gzip_is_said_to_be_none(stream: bytes) -> None:
    with pytest.raises(MeasuringError) as caught:
        inflated(stream, 10**6)
    assert (caught.value.code, caught.value.is_transient) == (FailureCode.CONNECT_FAILED, False)
    assert caught.value.message == "Content-Encoding is gzip, but the body is not valid gzip"
