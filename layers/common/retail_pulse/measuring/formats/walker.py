"""Walking a file from one place of interest to the next as its bytes pass by, and keeping none of what lies between."""

from abc import ABC, abstractmethod
from typing import Protocol

from retail_pulse.domain.failures import FailureCode, MeasuringError

# Real files have some thousand segments, chunks or frames; of the smallest ones, millions fit into a file.
MAX_STEPS = 100_000

Size = tuple[int, int]


class FormatReader(Protocol):
    """Finds the size and the end of a file of one format.

    Attributes
    ----------
    size
        Width and height in pixels, None as long as they have not passed by.
    """

    size: Size | None

    def feed(self, block: bytes) -> None:
        """Look at the next bytes; the first call starts at the file's first byte."""

    def is_whole(self, length: int) -> bool:
        """Tell whether the file, of this length in all, has its end."""


class AtLeast:
    """Whole when the file has at least the bytes that its header claims."""

    def __init__(self, size: Size, length: int) -> None:
        self.size: Size | None = size
        self._length = length

    def feed(self, block: bytes) -> None:
        """Nothing to see: the length tells."""

    def is_whole(self, length: int) -> bool:
        """Compare the lengths."""
        return length >= self._length


class MarkBehind:
    """Looks for a mark that stands anywhere behind an offset."""

    def __init__(self, mark: bytes, offset: int) -> None:
        self._mark = mark
        self._skip = offset
        self._tail = b""
        self.is_found = False

    def feed(self, block: bytes | bytearray) -> None:
        """Look for the mark, also across two blocks."""
        if self.is_found:
            return
        if self._skip >= len(block):
            self._skip -= len(block)
            return
        start, self._skip = self._skip, 0
        keep = len(self._mark) - 1
        seam = self._tail + block[start : start + keep]
        self.is_found = self._mark in seam or block.find(self._mark, start) >= 0
        self._tail = (self._tail + block[max(start, len(block) - keep) :])[-keep:]


class Walker(ABC):
    """Walks a file from one position of interest to the next, skipping what lies between.

    Parameters
    ----------
    position
        The first position of interest.
    """

    # Bytes that the next step looks at.
    reach: int

    def __init__(self, position: int) -> None:
        self.size: Size | None = None
        self._next = position
        self._offset = 0
        self._rest = bytearray()
        self._ended = False
        self._steps = 0

    def feed(self, block: bytes) -> None:
        """Take as many steps as these bytes allow.

        Raises
        ------
        MeasuringError
            The file breaks its format's rules, or wants more steps than any real one.
        """
        begin, self._offset = self._offset, self._offset + len(block)
        if self._ended or self._next >= self._offset:
            self._rest.clear()
            return
        data: bytes | bytearray
        if self._rest:
            begin -= len(self._rest)
            self._rest += block
            data = self._rest
        else:
            data = block
        while not self._ended and (at := self._next - begin) + self.reach <= len(data):
            self._steps += 1
            if self._steps > MAX_STEPS:
                raise MeasuringError(FailureCode.NOT_AN_IMAGE, f"the file has more than {MAX_STEPS:,} parts")
            self._step(data, at)
        # What is kept between two blocks is less than a step's reach.
        if self._ended or self._next >= self._offset:
            self._rest = bytearray()
        elif data is self._rest:
            del self._rest[: self._next - begin]
        else:
            self._rest = bytearray(data[self._next - begin :])

    @abstractmethod
    def _step(self, data: bytes | bytearray, at: int) -> None:
        """Look at the position of interest, which lies at ``data[at]``, and set the next one."""

    @abstractmethod
    def is_whole(self, length: int) -> bool:
        """Tell whether the file, of this length in all, has its end."""
