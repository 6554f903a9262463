"""WebP: the size from the first chunk, the end from the RIFF length."""

import struct

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.measuring.formats.walker import DeclaredLength


def webp_reader(head: bytes) -> DeclaredLength:
    """Read the first chunk of a WebP (RFC 9649): lossy, lossless, or extended."""
    riff, kind, chunk = struct.unpack_from("<4xI4x4sI", head, 0)
    if kind == b"VP8X":
        width, height = (int.from_bytes(number, "little") for number in struct.unpack_from("<3s3s", head, 24))
        size = 1 + width, 1 + height
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
