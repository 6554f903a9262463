"""BMP: the size from the header, the end from the rows that it declares."""

import struct

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.measuring.formats.walker import DeclaredLength


def bmp_reader(head: bytes) -> DeclaredLength:
    """Read the header of a BMP: OS/2 1, or OS/2 2 and Windows, which start alike."""
    file_bytes, pixels, header = struct.unpack_from("<I4xII", head, 2)
    width: int
    height: int
    if header == 12:
        width, height, bits = struct.unpack_from("<HH2xH", head, 18)
        compression, image_bytes = 0, 0
    elif header in (16, 40, 52, 56, 64, 108, 124):
        width, height, bits = struct.unpack_from("<ii2xH", head, 18)
        compression, image_bytes = (0, 0) if header == 16 else struct.unpack_from("<II", head, 30)
    else:
        raise MeasuringError(FailureCode.NOT_AN_IMAGE, f"the BMP has an unknown header of {header:,} bytes")
    # A negative height means that the rows are stored from top to bottom.
    height = abs(height)
    # 3 means bit masks in Windows headers, Huffman coding in OS/2 2.
    if compression in (0, 6) or (compression == 3 and header != 64):
        # Uncompressed: the rows are more reliable than the declared length, which some writers leave at 0. Each is
        # padded to four bytes, but the last one need not be.
        padded, last = (width * bits + 31) // 32 * 4, (width * bits + 7) // 8
        return DeclaredLength((width, height), pixels + padded * (height - 1) + last)
    return DeclaredLength((width, height), max(file_bytes, pixels + image_bytes))
