"""GIF: the larger of the logical screen and the first picture; the end from the trailer, or a block's end after it."""

import re
import struct

from retail_pulse.measuring.formats.walker import Block, Walker
from retail_pulse.measuring.steps import StepBudget

# Writers fill sub-blocks to 255 bytes, except the last one of each image or text. 25 million of one byte fit into
# 50 MB. So many of them take as long as a step of the budget.
_SUB_BLOCKS_PER_STEP = 8
# They are counted in portions, so that an image of a few sub-blocks costs no more.
_PORTION = 512
# Of bytes between blocks, so many are searched in a step.
_PADDING_PER_STEP = 128
_EXTENSION, _IMAGE = b"!,"
_INTRODUCER = re.compile(rb"[!,;]")
_NOT_PADDING = re.compile(rb"[^\0]")
# Position and size of an image, then its flags.
_DESCRIPTOR = struct.Struct("<HHHHB")


class GifReader(Walker):
    """Reads a GIF, which is complete if it ends with the trailer, or with any block after a complete picture.

    See the GIF89a specification, sections 18, 20 and 27. Some writers omit the trailer. A first picture that is larger
    than the logical screen extends it, as in Chromium and Pillow; later ones do not.
    """

    reach = 1

    def __init__(self, head: bytes, budget: StepBudget) -> None:
        super().__init__(13 + _color_table(head[10]), budget)
        self._screen = struct.unpack_from("<HH", head, 6)
        self._next_step = self._block
        self._has_picture = False
        self._uncounted = 0

    def _step(self, data: Block, at: int) -> None:
        self._next_step(data, at)

    def _block(self, data: Block, at: int) -> None:
        # Some writers pad between blocks.
        found = (_NOT_PADDING if self._has_picture else _INTRODUCER).search(data, at)
        padding = (found.start() if found else len(data)) - at
        if padding:
            self._budget.spend(padding // _PADDING_PER_STEP)
        self._next += padding
        if found is None:
            return
        introducer = data[found.start()]
        if introducer == _EXTENSION:  # its label, then sub-blocks
            self._next += 2
            self._next_step = self._sub_blocks
        elif introducer == _IMAGE:
            self._next += 1
            self._next_step, self.reach = self._descriptor, _DESCRIPTOR.size
        else:
            # The trailer. After a picture, browsers end at any other byte, too.
            self._ended = True

    def _descriptor(self, data: Block, at: int) -> None:
        left, top, width, height, flags = _DESCRIPTOR.unpack_from(data, at)
        if self.size is None:
            self.size = max(self._screen[0], left + width), max(self._screen[1], top + height)
        # After the color table the code size, then sub-blocks.
        self._next += _DESCRIPTOR.size + _color_table(flags) + 1
        self._next_step, self.reach = self._sub_blocks, 1

    def _sub_blocks(self, data: Block, at: int) -> None:
        # In one step: millions of sub-blocks of one byte fit into a file.
        begin, end = self._next - at, len(data)
        count = self._uncounted
        while at < end:
            length = data[at]
            at += 1 + length
            count += 1
            if not length:
                self._next_step = self._block
                self._has_picture = self.size is not None
                break
        self._next = begin + at
        self._uncounted = count
        if count >= _PORTION:
            self._budget.spend(count // _SUB_BLOCKS_PER_STEP)
            self._uncounted = count % _SUB_BLOCKS_PER_STEP

    def is_complete(self, _length: int) -> bool:
        """Return whether the trailer was reached, or a block's end after a complete picture."""
        return self._ended or (self._has_picture and self._next_step == self._block)


def _color_table(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0
