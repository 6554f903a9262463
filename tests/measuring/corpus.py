"""A corpus of small, complete image files, made in code: what phones, cameras, browsers and scanners write."""

import functools
import io
import random
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from PIL import Image

from local.images.pictures import Format, make_image, video

WIDTH, HEIGHT = 61, 43


@dataclass(frozen=True, slots=True)
class CorpusFile:
    """A complete file, and where what its image needs ends: cut there, the file is still complete.

    An animated GIF is also complete at the end of any earlier block after its first picture.
    """

    name: str
    format: str
    content: bytes
    whole_bytes: int
    size: tuple[int, int]
    block_ends: frozenset[int] = frozenset()


@functools.cache
def corpus() -> tuple[CorpusFile, ...]:
    """Return the files."""
    return tuple(_described(name, *(file if isinstance(file, tuple) else (file,))) for name, file in _files().items())


def _described(name: str, image: bytes, trailer: bytes = b"") -> CorpusFile:
    kind = name.split()[0].strip(",").upper().removeprefix("BIG")
    ends = frozenset(_block_ends(image)) if kind == "GIF" else frozenset()
    # A property of an AVIF or HEIC turns it; elsewhere, only EXIF does.
    is_turned = kind in ("AVIF", "HEIC") and ("turned" in name or "by hand" in name)
    size = (HEIGHT, WIDTH) if is_turned else (WIDTH, HEIGHT)
    return CorpusFile(name, kind, image + trailer, len(image), size, ends)


def cuts(file: CorpusFile, count: int) -> list[int]:
    """Return about so many lengths to cut an image at: at each of its first and last bytes, and some between."""
    return [cut for cut in cuts_of(file.whole_bytes, count) if cut not in file.block_ends]


def cuts_of(whole: int, count: int) -> list[int]:
    """Return about so many lengths to cut so many bytes at."""
    edge = min(whole, count // 3)
    between = range(0, whole, max(1, whole // max(1, count // 3)))
    return sorted({*range(edge), *range(whole - edge, whole), *between})


def saved(kind: str, mode: str = "RGB", *, frames: int = 1, **options: Any) -> bytes:
    """Return noise in a format that Pillow writes."""
    noise = (random.Random(seed).randbytes(3 * WIDTH * HEIGHT) for seed in range(frames))
    image, *others = (Image.frombytes("RGB", (WIDTH, HEIGHT), pixels).convert(mode) for pixels in noise)
    if others:
        options.update(save_all=True, append_images=others)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def made(kind: Format, **options: Any) -> bytes:
    """Return a file of the project's own writers."""
    return make_image(kind, WIDTH, HEIGHT, **options)


def jpeg_segment(marker: int, content: bytes) -> bytes:
    """Return a segment of a JPEG."""
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """Return a chunk of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def box(kind: bytes, content: bytes) -> bytes:
    """Return a box of an AVIF or HEIC."""
    return struct.pack(">I4s", len(content) + 8, kind) + content


def tiff_directory(
    tags: Iterable[tuple[int, int, int, int]], following: int = 0, order: str = "<", *, big: bool = False
) -> bytes:
    """Return a directory of a TIFF: tags of number, type, count and value, and the offset of the next directory."""
    count, offset, width = ("Q", "Q", 8) if big else ("H", "I", 4)
    entries = [
        # A single number is stored from the left; several numbers are stored elsewhere, and this is their offset.
        struct.pack(f"{order}HH{offset}", tag, kind, values)
        + struct.pack(order + ("I" if values == 1 else offset), value).ljust(width, b"\0")
        for tag, kind, values, value in sorted(tags)
    ]
    return struct.pack(order + count, len(entries)) + b"".join(entries) + struct.pack(order + offset, following)


def tiff(
    order: str = "<", *, big: bool = False, tiles: bool = False, pages: int = 1, lists_first: bool = False
) -> bytes:
    """Return an uncompressed gray TIFF: the pixels of all pages, then their directories and lists of parts."""
    mark = b"II" if order == "<" else b"MM"
    kind, offset, start = (16, "Q", 16) if big else (4, "I", 8)
    rows, width = (16, 64) if tiles else (8, WIDTH)
    part, count = width * rows, -(-HEIGHT // rows)
    tags = [(tag, 4, 1, value) for tag, value in ((256, WIDTH), (257, HEIGHT), (258, 8), (259, 1), (262, 1), (277, 1))]
    tags += [(322, 4, 1, width), (323, 4, 1, rows)] if tiles else [(278, 4, 1, rows)]
    starts, sizes = (324, 325) if tiles else (273, 279)
    lists_bytes = 2 * count * struct.calcsize(offset)
    table_bytes = len(tiff_directory([*tags, (0, 4, 1, 0), (0, 4, 1, 0)], big=big))
    body = random.Random(1).randbytes(part * count * pages)
    first = start + len(body) + (lists_bytes if lists_first else 0)
    for page in range(pages):
        offsets = [start + part * (count * page + number) for number in range(count)]
        lists = struct.pack(f"{order}{2 * count}{offset}", *offsets, *[part] * count)
        at = start + len(body) + (0 if lists_first else table_bytes)
        following = first + (page + 1) * (lists_bytes + table_bytes) if page + 1 < pages else 0
        where = [(starts, kind, count, at), (sizes, kind, count, at + lists_bytes // 2)]
        table = tiff_directory(tags + where, following, order, big=big)
        body += lists + table if lists_first else table + lists
    head = struct.pack(order + "2sHHHQ", mark, 43, 8, 0, first) if big else struct.pack(order + "2sHI", mark, 42, first)
    return head + body


def heif(width: int, height: int, *, version: int = 0) -> bytes:
    """Return a hand-written HEIC: a thumbnail first, the primary item with a rotation before its size."""
    number, extra = (">I", b"\0\0") if version else (">H", b"")

    def full(kind: bytes, content: bytes, version: int = version) -> bytes:
        return box(kind, struct.pack(">B3x", version) + content)

    ispe = [full(b"ispe", struct.pack(">II", *size), 0) for size in ((16, 12), (width, height))]
    ipco = box(b"ipco", ispe[0] + box(b"irot", b"\1") + ispe[1])
    ipma = struct.pack(">I", 2) + struct.pack(number, 1) + b"\x01\x01" + struct.pack(number, 2) + b"\x02\x82\x03"
    kind = box(b"ftyp", b"heic" + bytes(4) + b"mif1heic")
    pitm = full(b"pitm", struct.pack(number, 2))

    def meta(at: int) -> bytes:
        items = [(item, struct.pack(">HHII", 0, 1, at + 50 * (item - 1), 50)) for item in (1, 2)]
        extents = b"".join(struct.pack(number, item) + extra + extent for item, extent in items)
        iloc = full(b"iloc", b"\x44\0" + struct.pack(number, 2) + extents, 2 * version)
        return full(b"meta", pitm + iloc + box(b"iprp", ipco + full(b"ipma", ipma)), 0)

    at = len(kind) + len(meta(0)) + 8
    return kind + meta(at) + box(b"mdat", random.Random(2).randbytes(100))


def _block_ends(content: bytes) -> Iterator[int]:
    """Yield where the blocks of a GIF of Pillow end, from its first picture on."""
    at, has_picture = 13 + _table_bytes(content[10]), False
    while content[at : at + 1] in (b"!", b","):
        has_picture = has_picture or content[at : at + 1] == b","
        at += 2 if content[at : at + 1] == b"!" else 11 + _table_bytes(content[at + 9])
        while content[at]:
            at += 1 + content[at]
        at += 1
        if has_picture:
            yield at


def _table_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _bmp(header: int, *, height: int = HEIGHT, compression: int = 0) -> bytes:
    bits, palette, pixels = 24, b"", bytes((WIDTH * 24 + 31) // 32 * 4 * HEIGHT)
    if compression:
        bits, palette, pixels = 8, bytes(1024), b"\x3d\x07\0\0" * HEIGHT + b"\0\1"
    if header == 12:
        info = struct.pack("<IHHHH", 12, WIDTH, height, 1, bits)
    else:
        info = struct.pack("<IiiHHII", header, WIDTH, height, 1, bits, compression, len(pixels)).ljust(header, b"\0")
    start = 14 + len(info) + len(palette)
    return struct.pack("<2sIII", b"BM", start + len(pixels), 0, start) + info + palette + pixels


def _phone() -> bytes:
    """Return a phone's JPEG: EXIF with a JPEG as thumbnail, a color profile in parts, a comment with an end marker."""
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0" + make_image(Format.JPEG, 16, 12)
    profile = b"ICC_PROFILE\0\1\1" + bytes(3000)
    head = jpeg_segment(0xE1, exif) + jpeg_segment(0xE2, profile) + jpeg_segment(0xFE, b"\xff\xd9")
    content = saved("JPEG", quality=90)
    return content[:2] + head + content[2:]


def _heic(**options: Any) -> bytes:
    """Return an AVIF as HEIC: the boxes are the same but for names, and nothing reads the pixels."""
    content = made(Format.AVIF, **options)
    end = int.from_bytes(content[:4])
    brands = content[8:end].replace(b"avif", b"heic").replace(b"MA1B", b"heix")
    return content[:8] + brands + content[end:].replace(b"av01", b"hvc1")


def _files() -> dict[str, bytes | tuple[bytes, bytes]]:
    """Return each file by its name, which starts with its format: its bytes, or an image and what comes after it."""
    jpeg, png, mpo, avif = saved("JPEG"), saved("PNG"), made(Format.MPO), made(Format.AVIF)
    tables, second = jpeg.index(b"\xff\xdb"), mpo.index(b"\xff\xd9\xff\xd8") + 2
    lists = tiff(lists_first=True)
    last = avif.index(b"mdat") - 4
    bitmaps = {
        "BMP": saved("BMP"),
        "BMP, OS/2 1": _bmp(12),
        "BMP, OS/2 2": _bmp(64),
        "BMP, version 5": _bmp(124),
        "BMP, top row first": _bmp(40, height=-HEIGHT),
    }
    return {
        "JPEG": jpeg,
        "JPEG, grey": saved("JPEG", "L"),
        "JPEG, CMYK": saved("JPEG", "CMYK"),
        "JPEG, progressive, several scans": saved("JPEG", progressive=True),
        "JPEG with restart markers": saved("JPEG", restart_marker_blocks=2),
        "JPEG turned by EXIF": made(Format.JPEG, orientation=6),
        "JPEG with fill bytes": jpeg[:tables] + b"\xff" * 7 + jpeg[tables:],
        "JPEG of a phone: EXIF thumbnail, profile, video after it": (_phone(), video(5_000)),
        "JPEG with a second picture (MPO)": (mpo[:second], mpo[second:]),
        "PNG": png,
        "PNG with a palette": saved("PNG", "P"),
        "PNG with bytes after it": (png, b"behind"),
        "PNG with its end chunk inside another": png[:33] + png_chunk(b"teSt", b"IEND\xaeB`\x82") + png[33:],
        "PNG as Apple's tools write it": png[:8] + png_chunk(b"CgBI", bytes(4)) + png[8:],
        "PNG, animated": saved("PNG", frames=4),
        "GIF": saved("GIF", "P"),
        "GIF of 60 frames": saved("GIF", "P", frames=60, duration=20),
        # The last byte is padding: a row has 183 bytes.
        **{name: (bmp[:-1], bmp[-1:]) for name, bmp in bitmaps.items()},
        "BMP, run lengths": _bmp(40, compression=1),
        "TIFF of Pillow": saved("TIFF"),
        "TIFF, directory first": made(Format.TIFF, directory_first=True),
        "TIFF, directory at the end": made(Format.TIFF),
        "TIFF, LZW": saved("TIFF", compression="tiff_lzw"),
        "TIFF with a JPEG inside": saved("TIFF", compression="jpeg"),
        "TIFF, big-endian": tiff(">"),
        # The last four bytes are the offset of a next directory, which some writers omit.
        "TIFF, lists before the directory": (lists[:-4], lists[-4:]),
        "TIFF in tiles": tiff(tiles=True),
        "TIFF of three pages": tiff(pages=3),
        "BigTIFF": tiff(big=True),
        "BigTIFF, big-endian, tiles, two pages": tiff(">", big=True, tiles=True, pages=2),
        "WebP": saved("WEBP"),
        "WebP, lossless": saved("WEBP", lossless=True),
        "WebP, extended": made(Format.WEBP, orientation=8),
        "WebP, animated": saved("WEBP", frames=3),
        "AVIF": avif,
        "AVIF, turned": made(Format.AVIF, orientation=6),
        "AVIF, animated": made(Format.AVIF, frames=3),
        # A last box of length 0 extends to the end of the file.
        "AVIF with an open last box": avif[:last] + bytes(4) + avif[last + 4 :],
        "HEIC": _heic(),
        "HEIC, turned": _heic(orientation=8),
        "HEIC by hand, thumbnail first": heif(WIDTH, HEIGHT),
        "HEIC by hand, wide numbers": heif(WIDTH, HEIGHT, version=1),
    }
