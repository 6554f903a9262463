"""Formats with their size at a fixed place near the start: PNG, GIF, BMP and WebP.

The readers get the first bytes of the file, 64 where it has as many, and raise `struct.error` or `IndexError` when it
ends within its header.
"""

import re
import struct

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.measuring.formats.walker import AtLeast, Walker


class PngReader(Walker):
    """Whole when the chunks end with IEND and its checksum (PNG specification, section 5)."""

    reach = 8

    def __init__(self, head: bytes) -> None:
        super().__init__(8)
        # Apple's variant has a chunk of four bytes before the header.
        place = 24 if head[12:16] == b"CgBI" else 8
        kind, width, height = struct.unpack_from(">4x4sII", head, place)
        if kind != b"IHDR":
            raise MeasuringError(FailureCode.NOT_AN_IMAGE, "the PNG does not begin with its header")
        self.size = width, height

    def _step(self, data: bytes | bytearray, at: int) -> None:
        length, kind = struct.unpack_from(">I4s", data, at)
        # Length, kind and checksum have four bytes each.
        self._next += 12 + length
        self._ended = kind == b"IEND"

    def is_whole(self, length: int) -> bool:
        """Tell whether the last chunk was reached and ends in the file."""
        return self._ended and self._next <= length


# Writers fill sub-blocks up to 255 bytes and leave a short one at the end of each picture or text. What is at least
# this long is bounded by the file's own length; of shorter ones, 25 million fit into 50 MB.
_SHORT_SUB_BLOCK = 32
_MAX_SHORT_SUB_BLOCKS = 1_000_000
_INTRODUCER = re.compile(rb"[!,;]")


class GifReader(Walker):
    """Whole when the blocks end with the trailer (GIF89a specification, section 27)."""

    reach = 1

    def __init__(self, head: bytes) -> None:
        super().__init__(13 + _colour_table(head[10]))
        self.size = struct.unpack_from("<HH", head, 6)
        self._place = self._block
        self._short = 0

    def _step(self, data: bytes | bytearray, at: int) -> None:
        self._place(data, at)

    def _block(self, data: bytes | bytearray, at: int) -> None:
        # Some writers leave padding between blocks.
        found = _INTRODUCER.search(data, at)
        self._next += (found.start() if found else len(data)) - at
        if found is None:
            return
        introducer = found[0]
        if introducer == b"!":  # an extension: its label, then sub-blocks
            self._next += 2
            self._place = self._sub_blocks
        elif introducer == b",":  # an image: eight bytes of place and size, then its flags
            self._next += 9
            self._place = self._image_flags
        else:
            self._ended = True

    def _image_flags(self, data: bytes | bytearray, at: int) -> None:
        self._next += 2 + _colour_table(data[at])  # behind the table the code size, then sub-blocks
        self._place = self._sub_blocks

    def _sub_blocks(self, data: bytes | bytearray, at: int) -> None:
        # In one go: with one byte each, millions of them fit into a file.
        begin, end = self._next - at, len(data)
        short = self._short
        while at < end:
            length = data[at]
            at += 1 + length
            if length < _SHORT_SUB_BLOCK:
                short += 1
                if length == 0:
                    self._place = self._block
                    break
        self._next = begin + at
        self._short = short
        if short > _MAX_SHORT_SUB_BLOCKS:
            raise MeasuringError(
                FailureCode.NOT_AN_IMAGE, f"a GIF of more than {_MAX_SHORT_SUB_BLOCKS} short sub-blocks"
            )

    def is_whole(self, _length: int) -> bool:
        """Tell whether the trailer was reached."""
        return self._ended


def _colour_table(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def bmp_reader(head: bytes) -> AtLeast:
    """Read a BMP's header: that of OS/2 1, and those of OS/2 2 and Windows, which begin alike."""
    claimed, pixels, header = struct.unpack_from("<I4xII", head, 2)
    width: int
    height: int
    if header == 12:
        width, height, bits = struct.unpack_from("<HH2xH", head, 18)
        compression, image_bytes = 0, 0
    elif header in (16, 40, 52, 56, 64, 108, 124):
        width, height, bits = struct.unpack_from("<ii2xH", head, 18)
        compression, image_bytes = (0, 0) if header == 16 else struct.unpack_from("<II", head, 30)
    else:
        raise MeasuringError(FailureCode.NOT_AN_IMAGE, f"BMP with a header of {header} bytes")
    # A negative height says that the rows go from top to bottom.
    height = abs(height)
    # 3 means masks in Windows' headers, Huffman's coding in that of OS/2 2.
    if compression in (0, 6) or (compression == 3 and header != 64):
        # Not compressed: the rows tell more surely than the claim, which some writers leave at 0.
        return AtLeast((width, height), pixels + (width * bits + 31) // 32 * 4 * height)
    return AtLeast((width, height), max(claimed, pixels + image_bytes))


def webp_reader(head: bytes) -> AtLeast:
    """Read a WebP's first chunk (RFC 9649): lossy, lossless, or what says that there is more."""
    riff, kind, chunk = struct.unpack_from("<4xI4x4sI", head, 0)
    if kind == b"VP8X":
        size = 1 + int.from_bytes(_slice(head, 24, 3), "little"), 1 + int.from_bytes(_slice(head, 27, 3), "little")
    elif kind == b"VP8L":
        mark, bits = struct.unpack_from("<BI", head, 20)
        size = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        kind = kind if mark == 0x2F else b""
    elif kind == b"VP8 ":
        mark, width, height = struct.unpack_from("<3sHH", head, 23)
        size = width & 0x3FFF, height & 0x3FFF
        # The first frame is a key frame, or there is no picture.
        kind = kind if mark == b"\x9d\x01\x2a" and not head[20] & 1 else b""
    else:
        kind = b""
    if not kind:
        raise MeasuringError(FailureCode.NOT_AN_IMAGE, "the WebP does not begin with a picture")
    return AtLeast(size, max(8 + riff, 20 + chunk))


def _slice(head: bytes, start: int, length: int) -> bytes:
    if len(head) < start + length:
        raise IndexError("the header ends early")
    return head[start : start + length]
