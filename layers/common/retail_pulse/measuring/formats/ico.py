"""ICO and CUR: the size of the largest picture, from that picture's own header.

Pillow decodes an icon when it opens it, and reads no cursor with a PNG inside. In the directory, one byte per side
cannot tell 256 pixels from more, so the header of the picture decides.
"""

import math
import struct

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.measuring.formats.spool import Spool
from retail_pulse.measuring.formats.walker import Size

# Real files have up to some dozen pictures.
_MAX_PICTURES = 1_000
# Enough for the size in every header.
_HEAD_BYTES = 24


class IcoReader(Spool):
    """Reads an icon or a cursor, which is complete if its largest picture ends within the file."""

    def __init__(self) -> None:
        super().__init__()
        self.size: Size | None = None

    def is_complete(self, length: int) -> bool:
        """Read the directory and the headers of its largest pictures, and return whether those are complete.

        Raises
        ------
        MeasuringError
            A header is invalid, or the file has more pictures than any real one.
        """
        file = self.rewind()
        (count,) = struct.unpack("<4xH", file.read(6).ljust(6, b"\0"))
        if count > _MAX_PICTURES:
            raise MeasuringError(FailureCode.NOT_AN_IMAGE, f"the file has more than {_MAX_PICTURES:,} pictures")
        directory = file.read(16 * count)
        if len(directory) < 16 * count:
            return False
        # 0 stands for 256.
        pictures = [
            ((width or 256) * (height or 256), start, size)
            for width, height, size, start in struct.iter_unpack("<BB6xII", directory)
        ]
        largest = max(area for area, _, _ in pictures)
        sizes = []
        for area, start, size in pictures:
            if area == largest:
                if start + size > length:
                    return False
                file.seek(start)
                sizes.append(_picture_size(file.read(_HEAD_BYTES)))
        self.size = max(sizes, key=math.prod)
        return True


def _picture_size(head: bytes) -> Size:
    """Return the size from a PNG's header, or from a BMP's without its file header."""
    if len(head) == _HEAD_BYTES:
        (header,) = struct.unpack_from("<I", head)
        if head.startswith(b"\x89PNG\r\n\x1a\n"):
            width, height = struct.unpack_from(">II", head, 16)
            return width, height
        # The rows of the mask follow those of the picture, and count as its height.
        if header == 12:
            width, height = struct.unpack_from("<HH", head, 4)
            return width, height // 2
        if header in (40, 52, 56, 64, 108, 124):
            width, height = struct.unpack_from("<ii", head, 4)
            return width, abs(height) // 2
    raise MeasuringError(FailureCode.NOT_AN_IMAGE, "the icon contains neither a BMP nor a PNG")
