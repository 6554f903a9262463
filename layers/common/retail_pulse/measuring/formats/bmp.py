"""BMP: the size from the header, the end from the rows that it announces.

The reader gets the first 64 bytes of the file, or fewer if it is shorter. It raises `struct.error` or `IndexError`
when the file ends within its header.
"""

import struct

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.measuring.formats.walker import AtLeast


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
        raise MeasuringError(FailureCode.NOT_AN_IMAGE, f"the BMP has an unknown header of {header:,} bytes")
    # A negative height says that the rows go from top to bottom.
    height = abs(height)
    # 3 means masks in Windows' headers, Huffman's coding in that of OS/2 2.
    if compression in (0, 6) or (compression == 3 and header != 64):
        # Not compressed: the rows tell more surely than the claim, which some writers leave at 0.
        return AtLeast((width, height), pixels + (width * bits + 31) // 32 * 4 * height)
    return AtLeast((width, height), max(claimed, pixels + image_bytes))
