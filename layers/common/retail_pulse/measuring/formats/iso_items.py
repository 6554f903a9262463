"""The primary item of an AVIF or HEIC: its size after cropping and turning, and where its bytes end.

See ISO/IEC 14496-12, section 8.11, for items, and ISO/IEC 23008-12, section 6, for pictures and their properties.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence, Set
from functools import cache
from typing import NamedTuple

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.measuring.formats.walker import Size
from retail_pulse.measuring.steps import StepBudget

# In tiles of 512 pixels, a picture of two gigapixels.
_MAX_ITEMS = 8_192
# As many bytes of references take as long as a step of the budget.
_BYTES_PER_STEP = 8
# References from an item to those that it is derived from, or whose bytes are its own.
_NEEDED = (b"dimg", b"iloc")
_BOX = struct.Struct(">I4s")
# Numbers by their bytes. Other lengths are invalid.
_NUMBERS = {0: "", 4: "I", 8: "Q"}
NOWHERE = 2**64


class Picture(NamedTuple):
    """A picture that is an item.

    Parameters
    ----------
    size
        Width and height in pixels, cropped and turned.
    is_av1
        Whether it, or an item that it consists of, is known to be coded in AV1.
    end
        Where the bytes that it needs end in the file; `NOWHERE` if some of them are in no file.
    open_start
        Where the last of its extents without a length starts, which extends to the end of a box; -1 without any.
    """

    size: Size
    is_av1: bool
    end: int
    open_start: int


def read_picture(
    boxes: Mapping[bytes, Sequence[bytes]],
    properties: Mapping[int, tuple[bytes, bytes]],
    idat_bytes: int,
    budget: StepBudget,
) -> Picture:
    """Return the primary item.

    Parameters
    ----------
    boxes
        The contents of the boxes `pitm`, `iloc`, `iref`, `iinf` and `ipma`, by type.
    properties
        Types and contents of properties, by their index from 1. Those without an effect on the size may be missing.
    idat_bytes
        The length of the box `idat`, which may hold the bytes of items.
    budget
        What the steps are counted on, except for a first pass through the boxes.

    Raises
    ------
    MeasuringError
        The item has no size, or consists of more items than any real one.
    KeyError, IndexError, ValueError, struct.error
        A box is missing or invalid.
    """
    pitm = boxes[b"pitm"][0]
    primary = int.from_bytes(pitm[4:8] if pitm[0] else pitm[4:6])
    indices = [index for ipma in boxes[b"ipma"] for index in _associated(ipma, primary, budget)]
    size = _size([properties[index] for index in indices if index in properties])
    items = _needed_items(boxes.get(b"iref", ()), primary, budget)
    is_av1 = any(_has_av1(iinf, items) for iinf in boxes.get(b"iinf", ()))
    return Picture(size, is_av1, *_ends(boxes[b"iloc"][0], items, idat_bytes, budget))


def _associated(ipma: bytes, item: int, budget: StepBudget) -> Iterator[int]:
    """Yield the indices of an item's properties, from 1, in their order."""
    id_bytes, index_bytes = 4 if ipma[0] else 2, 2 if ipma[3] & 1 else 1
    entries = int.from_bytes(ipma[4:8])
    budget.spend(min(entries, len(ipma)) // 4)
    # The highest bit marks an essential property.
    mask = 0x7FFF if index_bytes == 2 else 0x7F
    at = 8
    for _ in range(entries):
        start = at + id_bytes + 1
        end = start + ipma[start - 1] * index_bytes
        if end > len(ipma):
            raise ValueError("more indices than the box has bytes for")
        if int.from_bytes(ipma[at : at + id_bytes]) == item:
            budget.spend((end - start) // 2)
            for offset in range(start, end, index_bytes):
                yield int.from_bytes(ipma[offset : offset + index_bytes]) & mask
        at = end


def _size(properties: Sequence[tuple[bytes, bytes]]) -> Size:
    """Return the size of the first `ispe`, after each cropping and turning in their order."""
    extents = next((content for kind, content in properties if kind == b"ispe"), None)
    if extents is None:
        raise MeasuringError(FailureCode.NOT_AN_IMAGE, "the primary item has no size")
    width, height = struct.unpack_from(">4xII", extents)
    for kind, content in properties:
        if kind == b"clap":
            columns, per_width, rows, per_height = struct.unpack_from(">4I", content)
            # Decoders ignore an aperture without pixels or with a denominator of 0.
            if 0 < per_width <= columns and 0 < per_height <= rows:
                width, height = min(width, columns // per_width), min(height, rows // per_height)
        elif kind == b"irot" and content[0] & 1:
            width, height = height, width
    return width, height


def _needed_items(irefs: Sequence[bytes], primary: int, budget: StepBudget) -> Set[int]:
    """Return the primary item, those that it consists of, those that these consist of, and so on."""
    items = latest = {primary}
    while latest and irefs:
        found: set[int] = set()
        for iref in irefs:
            budget.spend(len(iref) // _BYTES_PER_STEP)
            width, letter = (4, "I") if iref[0] else (2, "H")
            for kind, content in _boxes(iref, 4):
                if kind in _NEEDED and int.from_bytes(content[:width]) in latest:
                    count = int.from_bytes(content[width : width + 2])
                    _check_items(count)
                    found.update(struct.unpack_from(f">{count}{letter}", content, width + 2))
                    _check_items(len(found))
        latest = found - items
        items = items | latest
        _check_items(len(items))
    return items


def _check_items(count: int) -> None:
    if count > _MAX_ITEMS:
        raise MeasuringError(FailureCode.NOT_AN_IMAGE, f"the picture consists of more than {_MAX_ITEMS:,} items")


def _has_av1(iinf: bytes, items: Set[int]) -> bool:
    """Return whether one of the items is coded in AV1."""
    for kind, infe in _boxes(iinf, 8 if iinf[0] else 6):
        # Older versions have no type of four letters. After the item's number come two bytes of its protection.
        if kind == b"infe" and infe[0] in (2, 3):
            end = 6 if infe[0] == 2 else 8
            if infe[end + 2 : end + 6] == b"av01" and int.from_bytes(infe[4:end]) in items:
                return True
    return False


def _ends(iloc: bytes, items: Set[int], idat_bytes: int, budget: StepBudget) -> tuple[int, int]:
    """Return where the items' last byte is in the file, and where their last extent without a length starts."""
    end, open_start = 0, -1
    for is_in_idat, start, length in _extents(iloc, items, budget):
        if is_in_idat:
            end = max(end, NOWHERE if start + length > idat_bytes else 0)
        elif length:
            end = max(end, start + length)
        else:
            open_start = max(open_start, start)
    return end, open_start


def _extents(iloc: bytes, items: Set[int], budget: StepBudget) -> Iterator[tuple[bool, int, int]]:
    """Yield the extents of the items that are in this file: whether within the box `idat`, start and length."""
    version = iloc[0]
    if version > 2:
        raise ValueError("an unknown version")
    entry, extent = _location_structs(version, iloc[4], iloc[5])
    has_offset, has_length, has_base, has_index = iloc[4] & 0xF0, iloc[4] & 15, iloc[5] & 0xF0, version and iloc[5] & 15
    at = 10 if version == 2 else 8
    entries = int.from_bytes(iloc[6:at])
    budget.spend(min(entries, len(iloc)) // 2)
    for _ in range(entries):
        item, *located, count = entry.unpack_from(iloc, at)
        at += entry.size
        end = at + count * extent.size
        # 0: in the file; 1: in the box `idat`; 2: in another item, which is one of the items too.
        method = located.pop(0) & 15 if version else 0
        if item in items and method < 2 and located[0] == 0:
            if count > 1:
                budget.spend(count // 2)
            # There may be any number of extents without bytes: they are all the same.
            for start in range(at, end, extent.size) if extent.size else (at,) * min(count, 1):
                numbers = extent.unpack_from(iloc, start)
                first = (numbers[1 if has_index else 0] if has_offset else 0) + (located[1] if has_base else 0)
                yield method == 1, first, numbers[-1] if has_length else 0
        at = end
    if at > len(iloc):
        raise ValueError("more extents than the box has bytes for")


@cache
def _location_structs(version: int, sizes: int, more_sizes: int) -> tuple[struct.Struct, struct.Struct]:
    """Return an item in `iloc`: number, construction method, data reference, base, extents; and one of its extents."""
    offset, length, base, index = (
        _NUMBERS[size] for size in (sizes >> 4, sizes & 15, more_sizes >> 4, more_sizes & 15)
    )
    item, method = ("I", "H") if version == 2 else ("H", "H" if version else "")
    return struct.Struct(f">{item}{method}H{base}H"), struct.Struct(f">{index if version else ''}{offset}{length}")


def _boxes(data: bytes, at: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield the types and contents of the boxes from a place on."""
    # Fewer bytes than a header are padding.
    while at + 8 <= len(data):
        length, kind = _BOX.unpack_from(data, at)
        if not 8 <= length <= len(data) - at:
            raise ValueError("a box exceeds the box around it")
        yield kind, data[at + 8 : at + length]
        at += length
