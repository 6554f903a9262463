"""JPEG 2000: where the codestream ends. Pillow reads the size, and does not notice a cut."""

import struct
from collections.abc import Callable
from typing import IO

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.measuring.steps import StepBudget

_START, _TILE_PART, _END = 0xFF4F, 0xFF90, 0xFFD9
_MIN_MARKER = 0xFF00
# An open last part ends with the file, and bytes of other software may follow it.
_TAIL_BYTES = 4096
# A seek and a read take as long as so many steps of the budget.
_READ_STEPS = 2

_Read = Callable[[int, int], bytes]


def is_complete(file: IO[bytes], length: int, budget: StepBudget) -> bool:
    """Return whether the codestream has its end marker (ISO/IEC 15444-1, annexes A and I).

    Raises
    ------
    MeasuringError
        The codestream is missing, or the file takes more steps than a real one.
    """

    def read(at: int, count: int) -> bytes:
        budget.spend(_READ_STEPS)
        if at >= length:
            return b""
        file.seek(at)
        return file.read(count)

    try:
        return _reaches_end(read, _codestream(read), length)
    except struct.error:
        return False


def _codestream(read: _Read) -> int:
    """Return where the codestream begins: at the first byte, or within a box of its own."""
    at = 0
    if read(at, 2) == b"\xff\x4f":
        return at
    while True:
        size, kind = struct.unpack(">I4s", read(at, 8))
        head = 8
        if size == 1:
            (size,) = struct.unpack(">Q", read(at + 8, 8))
            head = 16
        if kind == b"jp2c":
            return at + head
        # A box of length 0 is the last one.
        if size < head:
            break
        at += size
    raise MeasuringError(FailureCode.NOT_AN_IMAGE, "the JPEG 2000 file has no codestream")


def _reaches_end(read: _Read, at: int, length: int) -> bool:
    while True:
        (marker,) = struct.unpack(">H", read(at, 2))
        # Where a wrong length leads to no marker, nothing says that the file is cut.
        if marker == _END or marker < _MIN_MARKER:
            return True
        if marker == _START:
            at += 2
        elif marker == _TILE_PART:
            (size,) = struct.unpack(">I", read(at + 6, 4))
            if size == 0:
                return b"\xff\xd9" in read(max(at, length - _TAIL_BYTES), _TAIL_BYTES)
            at += max(size, 14)
        else:
            (size,) = struct.unpack(">H", read(at + 2, 2))
            at += 2 + size
