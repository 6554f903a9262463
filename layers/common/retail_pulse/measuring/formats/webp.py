"""WebP: the size from the first chunk, the end from the RIFF length.

The reader gets the first 64 bytes of the file, or all of a shorter one. It raises `struct.error` or `IndexError` if
the file ends within its header.
"""

import struct

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.measuring.formats.walker import DeclaredLength


def webp_reader(head: bytes) -> DeclaredLength:
    """Read the first chunk of a WebP (RFC 9649): lossy, lossless, or extended."""
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
        # The first frame must be a key frame.
        kind = kind if mark == b"\x9d\x01\x2a" and not head[20] & 1 else b""
    else:
        kind = b""
    if not kind:
        raise MeasuringError(FailureCode.NOT_AN_IMAGE, "the WebP does not start with a valid image chunk")
    return DeclaredLength(size, max(8 + riff, 20 + chunk))


def _slice(head: bytes, start: int, length: int) -> bytes:
    if len(head) < start + length:
        raise IndexError("the header ends early")
    return head[start : start + length]
