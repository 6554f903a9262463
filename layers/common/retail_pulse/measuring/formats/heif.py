"""AVIF and HEIC: ISO base media files, whose size is a property of the primary item (ISO/IEC 23008-12)."""

import io
import struct
from collections.abc import Iterator

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.measuring.formats.walker import Size, Walker
from retail_pulse.measuring.steps import StepBudget

# The box of a phone's image in 48 tiles has 5 KB.
_MAX_META_BYTES = 256 * 1024


class IsoReader(Walker):
    """Reads an AVIF or HEIC, which is complete if its outermost boxes and all items end within the file.

    See ISO/IEC 14496-12, sections 4.2 and 8.11.3. A last box of length 0 extends to the end of the file. Rotations are
    not applied: they do not change the perimeter.
    """

    def __init__(self, budget: StepBudget) -> None:
        super().__init__(0, budget)
        self.reach = 16
        self._open_end = False
        self._items_end = 0

    def _step(self, data: bytes | bytearray, at: int) -> None:
        length, kind, large = struct.unpack_from(">I4sQ", data, at)
        header = 16 if length == 1 else 8
        length = large if length == 1 else length
        if kind == b"meta" and self.size is None and length >= header + 4:
            if length > _MAX_META_BYTES:
                message = f"the meta box has {length:,} bytes; the limit is {_MAX_META_BYTES:,}"
                raise MeasuringError(FailureCode.NOT_AN_IMAGE, message)
            if at + length > len(data):
                self.reach = length  # repeat this step once the box has arrived
                return
            self.size, self._items_end = _read_meta(bytes(data[at + header + 4 : at + length]), self._budget)
            self.reach = 16
        if length == 0:
            self._open_end = self._ended = True
        elif length < header:
            self._ended = True  # trailing bytes that are not a box
        else:
            self._next += length

    def is_complete(self, length: int) -> bool:
        """Return whether the last box that starts in the file also ends there."""
        if length < self._items_end:
            return False
        if self._open_end or self._ended:
            return self._open_end or self._next <= length
        if self._next < length and len(self._rest) >= 8:  # a last box of 8 to 15 bytes is below a step's reach
            return 8 <= int.from_bytes(self._rest[:4]) <= length - self._next
        return self._next == length


def _read_meta(meta: bytes, budget: StepBudget) -> tuple[Size, int]:
    """Return the size of the primary item, and the offset in the file where the last item ends.

    Raises
    ------
    MeasuringError
        The size is missing, or a box is invalid.
    """
    try:
        boxes = {kind: content for kind, content in _boxes(meta, budget) if kind in (b"pitm", b"iprp", b"iloc")}
        properties = dict(_boxes(boxes[b"iprp"], budget))
        listed = list(_boxes(properties[b"ipco"], budget))
        primary = int.from_bytes(boxes[b"pitm"][4 : 6 if boxes[b"pitm"][0] == 0 else 8])
        for index in _associated(properties[b"ipma"], primary, budget):
            if 1 <= index <= len(listed) and listed[index - 1][0] == b"ispe":
                width, height = struct.unpack_from(">4xII", listed[index - 1][1])
                return (width, height), max(_item_ends(boxes[b"iloc"], budget), default=0)
    except (KeyError, IndexError, struct.error, ValueError) as error:
        raise MeasuringError(FailureCode.NOT_AN_IMAGE, "the boxes that hold the size are invalid") from error
    raise MeasuringError(FailureCode.NOT_AN_IMAGE, "the primary item has no size")


def _boxes(data: bytes, budget: StepBudget) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at < len(data):
        budget.spend(1)
        length, kind = struct.unpack_from(">I4s", data, at)
        header = 8
        if length == 1:
            header, (length,) = 16, struct.unpack_from(">Q", data, at + 8)
        elif length == 0:
            length = len(data) - at
        if not header <= length <= len(data) - at:
            raise ValueError("a box exceeds the box around it")
        yield kind, data[at + header : at + length]
        at += length


def _associated(ipma: bytes, item: int, budget: StepBudget) -> Iterator[int]:
    """Yield the indices of an item's properties, from 1."""
    version, wide, entries = ipma[0], ipma[3] & 1, int.from_bytes(ipma[4:8])
    at, id_bytes, index_bytes = 8, 4 if version else 2, 2 if wide else 1
    for _ in range(entries):
        budget.spend(1)
        found, count = int.from_bytes(ipma[at : at + id_bytes]), ipma[at + id_bytes]
        at += id_bytes + 1
        if found == item:
            for offset in range(at, at + count * index_bytes, index_bytes):
                # The highest bit marks an essential property.
                yield int.from_bytes(ipma[offset : offset + index_bytes]) & (0x7FFF if wide else 0x7F)
        at += count * index_bytes


def _item_ends(iloc: bytes, budget: StepBudget) -> Iterator[int]:
    """Yield the offsets in the file where the extents of items end (ISO/IEC 14496-12, section 8.11.3)."""
    version = iloc[0]
    offset_bytes, length_bytes, base_bytes = iloc[4] >> 4, iloc[4] & 15, iloc[5] >> 4
    index_bytes = iloc[5] & 15 if version else 0
    id_bytes = 4 if version == 2 else 2
    content = io.BytesIO(iloc[6:])

    def number(length: int) -> int:
        data = content.read(length)
        if len(data) < length:
            raise ValueError("a box ends early")
        return int.from_bytes(data)

    for _ in range(number(id_bytes)):
        number(id_bytes)
        # 0: in the file; 1: in a box of the meta box; 2: in another item.
        method = number(2) & 15 if version else 0
        in_this_file = number(2) == 0 and method == 0
        base, extents = number(base_bytes), number(2)
        if not offset_bytes + length_bytes + index_bytes:
            continue  # there may be any number of extents without bytes
        budget.spend(1 + extents)
        for _ in range(extents):
            number(index_bytes)
            offset, length = number(offset_bytes), number(length_bytes)
            if in_this_file:
                yield base + offset + length
