"""JPEG: the size from the frame's header, the end behind the first scan."""

import re

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.measuring.formats.walker import MarkBehind, Walker

# Markers by their second byte (ITU-T T.81, table B.1).
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE = frozenset(range(0xD0, 0xD8)) | {0x01, 0xD8}
_END, _SCAN = 0xD9, 0xDA
_NOT_FILL = re.compile(rb"[^\xff]")


class JpegReader(Walker):
    """Whole when an end mark stands anywhere behind the first scan's header.

    Phones append videos and trailers, MPO appends a second picture, and a thumbnail in the header has an end mark too:
    the last bytes tell nothing. The mark cannot stand within a scan's data (ITU-T T.81, B.1.1.5).
    """

    # Up to the width, in a frame's header; also less than a scan's header.
    reach = 9

    def __init__(self) -> None:
        super().__init__(2)
        self._mark: MarkBehind | None = None

    def feed(self, block: bytes) -> None:
        """Walk the segments up to the first scan, then look for the end mark."""
        if self._mark is not None:
            self._mark.feed(block)
        else:
            super().feed(block)

    def _step(self, data: bytes | bytearray, at: int) -> None:
        if data[at] != 0xFF:
            # Bytes between segments are no rule's, but Photoshop's and others' files have them.
            found = data.find(b"\xff", at)
            self._next += (found if found >= 0 else len(data)) - at
            return
        marker = data[at + 1]
        if marker == 0xFF:  # fill bytes; the last of them starts the marker
            behind = _NOT_FILL.search(data, at)
            self._next += (behind.start() if behind else len(data)) - at - 1
        elif marker in _ALONE or marker == 0:
            self._next += 2
        elif marker == _END:
            raise MeasuringError(FailureCode.NOT_AN_IMAGE, "the JPEG ends before its first scan")
        else:
            if marker in _FRAMES and self.size is None:
                self.size = int.from_bytes(data[at + 7 : at + 9]), int.from_bytes(data[at + 5 : at + 7])
            length = max(2, int.from_bytes(data[at + 2 : at + 4]))
            self._next += 2 + length
            if marker == _SCAN:
                if self.size is None:
                    raise MeasuringError(FailureCode.NOT_AN_IMAGE, "the JPEG has no frame header before its first scan")
                self._ended = True
                self._mark = MarkBehind(b"\xff\xd9", at + 2 + length)
                self._mark.feed(data)

    def is_whole(self, _length: int) -> bool:
        """Tell whether the end mark was seen."""
        return self._mark is not None and self._mark.is_found
