"""GIF: the size of the logical screen, the end from the trailer."""

import re
import struct

from retail_pulse.measuring.formats.walker import Walker
from retail_pulse.measuring.steps import StepBudget

# Writers fill sub-blocks to 255 bytes, except the last one of each image or text. 25 million of one byte fit into
# 50 MB. So many of them take as long as a step of the budget.
_SUB_BLOCKS_PER_STEP = 8
# They are counted in portions, so that an image of a few sub-blocks costs no more.
_PORTION = 512
_INTRODUCER = re.compile(rb"[!,;]")


class GifReader(Walker):
    """Reads a GIF, which is complete if its blocks end with the trailer (GIF89a specification, section 27)."""

    reach = 1

    def __init__(self, head: bytes, budget: StepBudget) -> None:
        super().__init__(13 + _color_table(head[10]), budget)
        self.size = struct.unpack_from("<HH", head, 6)
        self._next_step = self._block
        self._uncounted = 0

    def _step(self, data: bytes | bytearray, at: int) -> None:
        self._next_step(data, at)

    def _block(self, data: bytes | bytearray, at: int) -> None:
        # Some writers pad between blocks.
        found = _INTRODUCER.search(data, at)
        self._next += (found.start() if found else len(data)) - at
        if found is None:
            return
        introducer = found[0]
        if introducer == b"!":  # an extension: its label, then sub-blocks
            self._next += 2
            self._next_step = self._sub_blocks
        elif introducer == b",":  # an image: eight bytes of position and size, then its flags
            self._next += 9
            self._next_step = self._image_flags
        else:
            self._ended = True

    def _image_flags(self, data: bytes | bytearray, at: int) -> None:
        self._next += 2 + _color_table(data[at])  # after the table the code size, then sub-blocks
        self._next_step = self._sub_blocks

    def _sub_blocks(self, data: bytes | bytearray, at: int) -> None:
        # In one step: millions of sub-blocks of one byte fit into a file.
        begin, end = self._next - at, len(data)
        count = self._uncounted
        while at < end:
            length = data[at]
            at += 1 + length
            count += 1
            if not length:
                self._next_step = self._block
                break
        self._next = begin + at
        self._uncounted = count
        if count >= _PORTION:
            self._budget.spend(count // _SUB_BLOCKS_PER_STEP)
            self._uncounted = count % _SUB_BLOCKS_PER_STEP

    def is_complete(self, _length: int) -> bool:
        """Return whether the trailer was reached."""
        return self._ended


def _color_table(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0
