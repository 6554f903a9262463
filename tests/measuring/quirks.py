"""Files that deviate from the usual: what broken or unusual writers send, and what readers accept all the same."""

import random
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.measuring.formats.size import SizeReader
from tests.measuring.corpus import tiff_directory


def outcome(content: bytes, block: int = 65_536) -> tuple[int, int] | FailureCode:
    """Return the size of a file, or the code of its failure."""
    with SizeReader(100_000) as reader:
        try:
            for start in range(0, len(content), block):
                reader.feed(content[start : start + block])
            measured = reader.result()
        except MeasuringError as error:
            return error.code
    return measured.width, measured.height


def gif_picture(left: int, top: int, width: int, height: int, *, colors: int = 0) -> bytes:
    """Return an image block of a GIF, with a color table of its own if it has colors."""
    flags, table = _colors(colors)
    # Codes of eight bits: 128 clears the table before codes get longer, 129 ends the picture.
    pixels = b"".join(b"\x80" + bytes(min(100, width * height - at)) for at in range(0, width * height, 100)) + b"\x81"
    blocks = [pixels[at : at + 255] for at in range(0, len(pixels), 255)]
    data = b"".join(bytes([len(block)]) + block for block in blocks)
    return b"," + struct.pack("<HHHHB", left, top, width, height, flags) + table + b"\7" + data + b"\0"


def gif(screen: tuple[int, int], *blocks: bytes, version: bytes = b"89a", colors: int = 128) -> bytes:
    """Return a GIF of these blocks, without a trailer."""
    flags, table = _colors(colors)
    # The last byte is an aspect ratio; here it would introduce a picture.
    return b"GIF" + version + struct.pack("<HHBBB", *screen, flags, 0, ord(",")) + table + b"".join(blocks)


def _colors(count: int) -> tuple[int, bytes]:
    """Return a GIF's flags for so many colors, and their table. Without one, its length may be there all the same."""
    return (0x80 | count.bit_length() - 2, b";,!" * count) if count else (7, b"")


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory of a TIFF with an uncompressed gray picture.

    Parameters
    ----------
    width, height
        The size of the picture; 0 leaves out both tags.
    tags
        The values of other tags, or of the picture's own, each a single number.
    subs
        Its sub-directories.
    typed_tags
        Tags of any type and count, with their values or offsets.
    """

    width: int
    height: int
    tags: dict[int, int] = field(default_factory=dict)
    subs: Sequence["Directory"] = ()
    typed_tags: Sequence[tuple[int, int, int, int]] = ()


REDUCED, PAGE, REDUCED_PAGE, MASK, ENHANCED = ({254: value} for value in (1, 2, 3, 4, 16))
SENSOR, LINEAR, DNG = {262: 32803}, {262: 34892}, {50706: 0x00000401}


def tiff_of(*chain: Directory, order: str = "<", big: bool = False, mark: bytes = b"") -> bytes:
    """Return a TIFF: a mark after the header, the pixels of all directories, sub-directories, and the chain at its end.

    The last directory of the chain comes last, and the offset of a next one is its end.
    """
    head_bytes = 16 if big else 8
    body = bytearray(bytes(head_bytes) + mark)

    def pixels(directory: Directory) -> int:
        start = len(body)
        body.extend(random.Random(start).randbytes(directory.width * directory.height))
        return start

    def entries(directory: Directory, start: int, subs: Sequence[int]) -> list[tuple[int, int, int, int]]:
        numbers = {262: 1, 258: 8, 259: 1, 277: 1, 278: directory.height, 273: start}
        numbers[279] = directory.width * directory.height
        if directory.width:
            numbers |= {256: directory.width, 257: directory.height}
        numbers |= directory.tags
        typed = {tag for tag, *_ in directory.typed_tags}
        found = [(tag, 4, 1, value) for tag, value in numbers.items() if tag not in typed]
        found += directory.typed_tags
        if len(subs) == 1:
            found.append((330, 13, 1, subs[0]))
        elif subs:
            found.append((330, 18 if big else 4, len(subs), len(body)))
            body.extend(struct.pack(f"{order}{len(subs)}{'Q' if big else 'I'}", *subs))
        return found

    starts = [(pixels(directory), [pixels(sub) for sub in directory.subs]) for directory in chain]
    tables = []
    for directory, (start, sub_starts) in zip(chain, starts, strict=True):
        subs = []
        for sub, sub_start in zip(directory.subs, sub_starts, strict=True):
            table = entries(sub, sub_start, [])
            subs.append(len(body))
            body.extend(tiff_directory(table, 0, order, big=big))
        tables.append(entries(directory, start, subs))
    first = len(body)
    for number, table in enumerate(tables):
        following = len(body) + len(tiff_directory(table, 0, order, big=big)) if number + 1 < len(tables) else 0
        body.extend(tiff_directory(table, following, order, big=big))
    letters = b"II" if order == "<" else b"MM"
    if big:
        body[:head_bytes] = struct.pack(order + "2sHHHQ", letters, 43, 8, 0, first)
    else:
        body[:head_bytes] = struct.pack(order + "2sHI", letters, 42, first)
    return bytes(body)
