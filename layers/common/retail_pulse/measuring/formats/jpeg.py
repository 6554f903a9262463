"""JPEG: the size from the frame header, the end from the end marker after the first scan."""

import re

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.measuring.formats.walker import Block, Walker
from retail_pulse.measuring.steps import StepBudget

# Markers by their second byte (ITU-T T.81, table B.1).
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_STANDALONE = frozenset(range(0xD0, 0xD9)) | {0x01}
_END, _SCAN = 0xD9, 0xDA
_MARKER_START = re.compile(rb"\xff")
_NOT_FILL = re.compile(rb"[^\xff]")
# A third of the CPU of `bytes.find`, which is slow for two bytes.
_END_MARKER = re.compile(rb"\xff\xd9")
# So many bytes are searched in a step of the budget. Of a scan, as many steps come with the bytes that were sent, since
# gzip hardly compresses it: only an endless scan of repeated bytes is refused.
_FILL_BYTES_PER_STEP = 64
_SCAN_BYTES_PER_STEP = 1_024


class JpegReader(Walker):
    """Reads a JPEG, which is complete if an end marker comes anywhere after the header of the first scan.

    The last bytes say nothing: phones append videos and trailers, MPO appends a second image, and a thumbnail in the
    header has an end marker too. A scan's data cannot contain the marker (ITU-T T.81, B.1.1.5).
    """

    # Up to the width in a frame header. A scan header is longer.
    reach = 9

    def __init__(self, budget: StepBudget) -> None:
        super().__init__(2, budget)
        self._skip = 0
        self._splits_marker = self._has_end = False

    def feed(self, block: Block) -> None:
        """Walk through the segments up to the first scan, then find the end marker."""
        if not self._ended:
            super().feed(block)
        elif not self._has_end:
            self._budget.spend(len(block) // _SCAN_BYTES_PER_STEP)
            self._find_end(block, self._skip)

    def _step(self, data: Block, at: int) -> None:
        if data[at] != 0xFF:
            # Bytes between segments violate the standard, but files of Photoshop and others have them.
            found = _MARKER_START.search(data, at)
            self._next += (found.start() if found else len(data)) - at
            return
        marker = data[at + 1]
        if marker == 0xFF:  # fill bytes; the last of them starts the marker
            after = _NOT_FILL.search(data, at)
            end = after.start() if after else len(data)
            self._budget.spend((end - at) // _FILL_BYTES_PER_STEP)
            self._next += end - at - 1
        elif marker in _STANDALONE or marker == 0:
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
                self._find_end(data, at + 2 + length)

    def _find_end(self, block: Block, start: int) -> None:
        if start >= len(block):
            self._skip = start - len(block)
            return
        is_split = self._splits_marker and block[start] == _END
        # Most files end with the marker. A search through their last block would cost a tenth of an image of 100 KB.
        is_last = block[max(start, len(block) - 2) :] == b"\xff\xd9"
        self._has_end = is_split or is_last or bool(_END_MARKER.search(block, start))
        self._skip, self._splits_marker = 0, block[-1] == 0xFF

    def is_complete(self, _length: int) -> bool:
        """Return whether the end marker was found."""
        return self._has_end
