"""Is a file whole? Each format has an end of its own; these look for it as the bytes pass by, and keep none of them."""

import struct
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol


class EndMark(Protocol):
    """Watches a file pass by."""

    def feed(self, block: bytes) -> None:
        """Look at the next bytes; the first call starts at the file's first byte."""

    def is_whole(self, length: int) -> bool:
        """Tell whether the file, of this length in all, has its end."""


class MarkBehind:
    """Whole when a mark stands anywhere behind an offset.

    A JPEG's end mark counts behind its first scan: phones append videos and trailers, MPO appends a second picture,
    and a thumbnail in the header has an end mark too. The mark cannot stand within a scan's data (ITU-T T.81, B.1.1.5).
    """

    def __init__(self, mark: bytes, offset: int) -> None:
        self._mark = mark
        self._skip = offset
        self._tail = b""
        self._found = False

    def feed(self, block: bytes) -> None:
        """Look for the mark, also across two blocks."""
        if self._found:
            return
        if self._skip >= len(block):
            self._skip -= len(block)
            return
        start, self._skip = self._skip, 0
        keep = len(self._mark) - 1
        seam = self._tail + block[start : start + keep]
        self._found = self._mark in seam or block.find(self._mark, start) >= 0
        self._tail = (self._tail + block[max(start, len(block) - keep) :])[-keep:]

    def is_whole(self, _length: int) -> bool:
        """Tell whether the mark was seen."""
        return self._found


class AtLeast:
    """Whole when the file has at least the bytes that its header claims."""

    def __init__(self, length: int) -> None:
        self._length = length

    def feed(self, block: bytes) -> None:
        """Nothing to see: the length tells."""

    def is_whole(self, length: int) -> bool:
        """Compare the lengths."""
        return length >= self._length


class _Walker(ABC):
    """Walks a file from one position of interest to the next, skipping what lies between."""

    # Most bytes that a step looks at.
    reach: int

    def __init__(self, position: int) -> None:
        self._next = position
        self._offset = 0
        self._rest = b""
        self._ended = False

    def feed(self, block: bytes) -> None:
        """Take as many steps as these bytes allow."""
        data = self._rest + block
        start = self._offset - len(self._rest)
        self._offset += len(block)
        while not self._ended:
            at = self._next - start
            if at + self.reach > len(data):
                break
            self._step(data, at)
        # Steps are a few bytes long: what is kept between two blocks is less than one of them.
        self._rest = b"" if self._ended else data[max(0, self._next - start) :]

    @abstractmethod
    def _step(self, data: bytes, at: int) -> None:
        """Look at the position of interest, which lies at ``data[at]``, and set the next one."""


class GifTrailer(_Walker):
    """Whole when the blocks end with the trailer (GIF89a specification, section 27)."""

    reach = 1

    def __init__(self, header: bytes) -> None:
        super().__init__(13 + _colour_table(header[10]))
        self._state: Callable[[int], None] = self._block

    def _step(self, data: bytes, at: int) -> None:
        self._state(data[at])

    def _block(self, introducer: int) -> None:
        if introducer == 0x21:  # an extension: its label, then sub-blocks
            self._next += 2
            self._state = self._sub_block
        elif introducer == 0x2C:  # an image: eight bytes of place and size, then its flags
            self._next += 9
            self._state = self._image_flags
        elif introducer == 0x3B:
            self._ended = True
        else:  # padding that some writers leave between blocks
            self._next += 1

    def _image_flags(self, flags: int) -> None:
        self._next += 2 + _colour_table(flags)  # behind the table the code size, then sub-blocks
        self._state = self._sub_block

    def _sub_block(self, length: int) -> None:
        self._next += 1 + length
        if length == 0:
            self._state = self._block

    def is_whole(self, _length: int) -> bool:
        """Tell whether the trailer was reached."""
        return self._ended


def _colour_table(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


class IsoBoxes(_Walker):
    """Whole when the outermost boxes end within the file (ISO/IEC 14496-12, section 4.2): AVIF and HEIC."""

    reach = 16

    def __init__(self) -> None:
        super().__init__(0)
        self._open_end = False

    def _step(self, data: bytes, at: int) -> None:
        length, _, large = struct.unpack_from(">I4sQ", data, at)
        if length == 0:  # reaches to the end of the file, wherever that is
            self._open_end = self._ended = True
        elif (length := large if length == 1 else length) < 8:
            self._ended = True  # no box: trailing bytes of some other kind
        else:
            self._next += length

    def is_whole(self, length: int) -> bool:
        """Tell whether the last box that begins in the file also ends there."""
        if self._open_end or self._ended:
            return self._open_end or self._next <= length
        if self._next < length and len(self._rest) >= 8:  # a last box of 8 to 15 bytes, shorter than a step's reach
            return self._next + int.from_bytes(self._rest[:4]) <= length
        return self._next == length
