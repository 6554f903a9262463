"""PNG: the size from IHDR, the end from IEND."""

import struct

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.measuring.formats.walker import Block, Walker
from retail_pulse.measuring.steps import StepBudget


class PngReader(Walker):
    """Reads a PNG, which is complete if its chunks end with IEND and its checksum (PNG specification, section 5).

    Bytes after it belong to nobody. An animation has IDAT, too: the picture for readers that know no animations.
    """

    reach = 8

    def __init__(self, head: bytes, budget: StepBudget) -> None:
        super().__init__(8, budget)
        # Apple's variant has a chunk of four bytes before the header.
        offset = 24 if head[12:16] == b"CgBI" else 8
        kind, width, height = struct.unpack_from(">4x4sII", head, offset)
        if kind != b"IHDR":
            raise MeasuringError(FailureCode.NOT_AN_IMAGE, "the PNG does not start with an IHDR chunk")
        self.size = width, height
        self._has_data = False

    def _step(self, data: Block, at: int) -> None:
        length, kind = struct.unpack_from(">I4s", data, at)
        # Length, type and checksum have four bytes each.
        self._next += 12 + length
        self._has_data = self._has_data or kind == b"IDAT"
        self._ended = kind == b"IEND"
        if self._ended and not self._has_data:
            raise MeasuringError(FailureCode.NOT_AN_IMAGE, "the PNG has no IDAT chunk before its end")

    def is_complete(self, length: int) -> bool:
        """Return whether the last chunk was reached and ends within the file."""
        return self._ended and self._next <= length
