"""The tracks of an animated AVIF or HEIC: their size, and where their pictures end.

See ISO/IEC 14496-12, sections 8.3 to 8.7.
"""

import struct
import sys
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from retail_pulse.measuring.formats.walker import Size

# Other handlers are for alpha planes, sound and texts.
_PICTURE_HANDLERS = (b"pict", b"vide")


@dataclass(frozen=True, slots=True)
class Track:
    """A sequence of pictures.

    Parameters
    ----------
    size
        Width and height in pixels. The track's matrix is not applied: decoders of pictures ignore it, and a turn does
        not change the perimeter.
    is_av1
        Whether it is coded in AV1.
    end
        Where its last picture ends in the file.
    """

    size: Size
    is_av1: bool
    end: int


def read_track(boxes: Mapping[bytes, Sequence[bytes]]) -> Track | None:
    """Return a track, or None if it does not hold pictures.

    Parameters
    ----------
    boxes
        The contents of the boxes `tkhd`, `hdlr`, `stsd`, `stsc`, `stsz`, `stco` and `co64`, by type.

    Raises
    ------
    KeyError, IndexError, struct.error
        A box is missing or invalid.
    """
    if boxes[b"hdlr"][0][8:12] not in _PICTURE_HANDLERS:
        return None
    tkhd, stsd = boxes[b"tkhd"][0], boxes[b"stsd"][0]
    # 16 bits for each side and as many for its fraction. Times and duration of version 1 take 12 bytes more.
    width, height = (side >> 16 for side in struct.unpack_from(">II", tkhd, 88 if tkhd[0] else 76))
    if not width or not height:
        # The first sample entry starts after 8 bytes, its size after 32.
        width, height = struct.unpack_from(">HH", stsd, 40)
    return Track((width, height), stsd[12:16] == b"av01", _end(boxes))


def _end(boxes: Mapping[bytes, Sequence[bytes]]) -> int:
    """Return where the last sample ends, or 0 for a movie in fragments, which has no tables of samples."""
    if b"stco" not in boxes and b"co64" not in boxes:
        return 0
    starts = _numbers(boxes[b"co64"][0], "Q") if b"co64" in boxes else _numbers(boxes[b"stco"][0], "I")
    # First chunk, samples per chunk, description.
    runs = _numbers(boxes[b"stsc"][0], "I", numbers=3)
    stsz = boxes[b"stsz"][0]
    same_size, samples = struct.unpack_from(">II", stsz, 4)
    sizes = array("I") if same_size else _numbers(stsz[4:], "I")
    end, first, run, per_chunk = 0, 0, 0, 0
    for chunk, start in enumerate(starts, 1):
        if run < len(runs) and runs[run] <= chunk:
            per_chunk = runs[run + 1]
            run += 3
        count = min(per_chunk, samples - first)
        end = max(end, start + (same_size * count if same_size else sum(sizes[first : first + count])))
        first += count
    return end


def _numbers(table: bytes, letter: str, *, numbers: int = 1) -> "array[int]":
    """Return the numbers of a table that starts with its version, its flags and how many entries it has."""
    found = array(letter)
    end = 8 + int.from_bytes(table[4:8]) * numbers * found.itemsize
    if end > len(table):
        raise IndexError("more entries than the box has bytes for")
    found.frombytes(table[8:end])
    if sys.byteorder == "little":
        found.byteswap()
    return found
