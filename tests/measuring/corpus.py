"""A corpus of small, complete image files, made in code: what phones, cameras, browsers and scanners write."""

import io
import itertools
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from PIL import Image

from local.images.pictures import Format, make_image, video

WIDTH, HEIGHT = 61, 43


@dataclass(frozen=True, slots=True)
class CorpusFile:
    """A complete file.

    Parameters
    ----------
    name
        What is special about the file.
    format
        The format that is measured.
    content
        The bytes of the file.
    whole_bytes
        Where the image ends: a file cut after it is still complete.
    """

    name: str
    format: str
    content: bytes
    whole_bytes: int


def corpus() -> Iterator[CorpusFile]:
    """Yield the files."""
    for name, make in _FILES.items():
        kind, content, *whole = make()
        yield CorpusFile(name, kind, content, whole[0] if whole else len(content))


def cuts(file: CorpusFile, count: int) -> list[int]:
    """Return about so many lengths to cut a file at: at each of its first and last bytes, and some between."""
    whole = file.whole_bytes
    edge = min(whole, count // 3)
    between = range(0, whole, max(1, whole // max(1, count // 3)))
    return sorted({*range(edge), *range(whole - edge, whole), *between})


def picture(mode: str = "RGB", seed: int = 0, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Image.Image:
    """Return an image of noise."""
    image = Image.frombytes("RGB", size, random.Random(seed).randbytes(3 * size[0] * size[1]))
    return image.convert(mode)


def saved(kind: str, mode: str = "RGB", **options: Any) -> bytes:
    """Return noise in a format that Pillow writes."""
    buffer = io.BytesIO()
    picture(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def jpeg_segment(marker: int, content: bytes) -> bytes:
    """Return a segment of a JPEG."""
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """Return a chunk of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def box(kind: bytes, content: bytes) -> bytes:
    """Return a box of an AVIF or HEIC."""
    return struct.pack(">I4s", len(content) + 8, kind) + content


def _phone() -> tuple[str, bytes, int]:
    """Return a phone's JPEG: EXIF with a JPEG as thumbnail, a color profile in parts, an appended video."""
    thumbnail = make_image(Format.JPEG, 16, 12)
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0" + thumbnail
    head = (
        jpeg_segment(0xE1, exif)
        + jpeg_segment(0xE2, b"ICC_PROFILE\0\1\1" + bytes(3000))
        + jpeg_segment(0xFE, b"\xff\xd9")
    )
    content = saved("JPEG", quality=90)
    content = content[:2] + head + content[2:]
    return "JPEG", content + video(5_000), len(content)


def _mpo() -> tuple[str, bytes, int]:
    content = make_image(Format.MPO, WIDTH, HEIGHT)
    return "JPEG", content, content.index(b"\xff\xd9\xff\xd8") + 2


def _fill_bytes() -> tuple[str, bytes]:
    content = saved("JPEG")
    place = content.index(b"\xff\xdb")
    return "JPEG", content[:place] + b"\xff" * 7 + content[place:]


def _png_with_trailer() -> tuple[str, bytes, int]:
    content = saved("PNG")
    return "PNG", content + b"behind", len(content)


def _png_naming_its_end() -> tuple[str, bytes]:
    content = saved("PNG")
    return "PNG", content[:33] + png_chunk(b"teSt", b"IEND\xaeB`\x82") + content[33:]


def _apple_png() -> tuple[str, bytes]:
    content = saved("PNG")
    return "PNG", content[:8] + png_chunk(b"CgBI", bytes(4)) + content[8:]


def _frames(kind: str, count: int, **options: Any) -> bytes:
    mode = "P" if kind == "GIF" else "RGB"
    return saved(kind, mode, save_all=True, append_images=[picture(mode, seed) for seed in range(1, count)], **options)


def _bmp(header: int, *, top_down: bool = False, compression: int = 0) -> bytes:
    row = (WIDTH * 24 + 31) // 32 * 4
    pixels = bytes(row * HEIGHT) if compression == 0 else b"\x3d\x07\0\0" * HEIGHT + b"\0\1"
    palette = b"" if compression == 0 else bytes(1024)
    bits = 24 if compression == 0 else 8
    if header == 12:
        info = struct.pack("<IHHHH", 12, WIDTH, HEIGHT, 1, bits)
    else:
        height = -HEIGHT if top_down else HEIGHT
        info = struct.pack("<IiiHHII", header, WIDTH, height, 1, bits, compression, len(pixels)).ljust(header, b"\0")
    start = 14 + len(info) + len(palette)
    return struct.pack("<2sIII", b"BM", start + len(pixels), 0, start) + info + palette + pixels


def tiff(
    order: str = "<", *, big: bool = False, tiles: bool = False, pages: int = 1, lists_first: bool = False
) -> bytes:
    """Return an uncompressed gray TIFF: the pixels of all pages, then their directories and lists of parts."""
    offset, entry = ("Q", "HHQQ") if big else ("I", "HHII")
    mark = b"II" if order == "<" else b"MM"
    start = struct.calcsize(order + ("2sHHHQ" if big else "2sHI"))
    rows = 16 if tiles else 8
    part = 64 * rows if tiles else WIDTH * rows
    count = -(-HEIGHT // rows)
    body = bytearray(random.Random(1).randbytes(part * count * pages))
    links = []
    for page in range(pages):
        offsets = [start + part * (count * page + number) for number in range(count)]
        lists = struct.pack(f"{order}{count}{offset}{count}{offset}", *offsets, *[part] * count)
        numbers = 10 if tiles else 9
        directory = start + len(body) + (len(lists) if lists_first else 0)
        size = struct.calcsize(order + ("Q" if big else "H")) + numbers * struct.calcsize(order + entry)
        size += struct.calcsize(order + offset)
        at = start + len(body) if lists_first else directory + size
        kind, width = (16, 8) if big else (4, 4)
        tags = [(256, 4, 1, WIDTH), (257, 4, 1, HEIGHT), (258, 4, 1, 8), (259, 4, 1, 1), (262, 4, 1, 1), (277, 4, 1, 1)]
        if tiles:
            tags += [(322, 4, 1, 64), (323, 4, 1, rows), (324, kind, count, at), (325, kind, count, at + width * count)]
        else:
            tags += [(273, kind, count, at), (278, 4, 1, rows), (279, kind, count, at + width * count)]
        table = struct.pack(order + ("Q" if big else "H"), len(tags))
        for tag in sorted(tags):
            table += struct.pack(order + entry, *tag)
            if order == ">" and tag[2] == 1:
                number = struct.pack(order + "I", tag[3]).ljust(8 if big else 4, b"\0")
                table = table[: -len(number)] + number
        links.append((directory, len(body) + (len(lists) if lists_first else 0) + len(table)))
        table += bytes(struct.calcsize(order + offset))
        body += lists + table if lists_first else table + lists
    for (_, link), (following, _) in itertools.pairwise(links):
        struct.pack_into(order + offset, body, link, following)
    first = links[0][0]
    head = struct.pack(order + "2sHHHQ", mark, 43, 8, 0, first) if big else struct.pack(order + "2sHI", mark, 42, first)
    return head + bytes(body)


def _avif(**options: Any) -> bytes:
    return make_image(Format.AVIF, WIDTH, HEIGHT, **options)


def _heic(content: bytes) -> bytes:
    """Return an AVIF as HEIC: the boxes are the same, and nothing reads the pixels."""
    return content[:8] + b"heic" + content[12:]


def _open_end() -> tuple[str, bytes]:
    """Return an AVIF whose last box has length 0: it extends to the end of the file."""
    content = bytearray(_avif())
    place = content.index(b"mdat") - 4
    content[place : place + 4] = bytes(4)
    return "AVIF", bytes(content)


def heif(width: int, height: int, *, version: int = 0, rotated: bool = True) -> bytes:
    """Return a hand-written HEIC: a thumbnail first, the primary item with a rotation before its size."""
    wide = struct.pack(">B3x", version)
    number = ">I" if version else ">H"

    def extents(at: int) -> bytes:
        if version:
            items = b"".join(struct.pack(">IHHHII", item, 0, 0, 1, at + 50 * (item - 1), 50) for item in (1, 2))
            return struct.pack(">B3xBBI", 2, 0x44, 0, 2) + items
        items = b"".join(struct.pack(">HHHII", item, 0, 1, at + 50 * (item - 1), 50) for item in (1, 2))
        return struct.pack(">B3xBBH", 0, 0x44, 0, 2) + items

    ispe = [box(b"ispe", struct.pack(">4xII", *size)) for size in ((16, 12), (width, height))]
    ipco = box(b"ipco", ispe[0] + box(b"irot", b"\1") + ispe[1])
    places = ((1, b"\x01\x01"), (2, b"\x02\x82\x03" if rotated else b"\x01\x03"))
    ipma = box(b"ipma", wide + struct.pack(">I", 2) + b"".join(struct.pack(number, item) + at for item, at in places))
    kind = box(b"ftyp", b"heic" + bytes(4) + b"mif1heic")
    pitm = box(b"pitm", wide + struct.pack(number, 2))

    def meta(at: int) -> bytes:
        return box(b"meta", bytes(4) + pitm + box(b"iloc", extents(at)) + box(b"iprp", ipco + ipma))

    at = len(kind) + len(meta(0)) + 8
    return kind + meta(at) + box(b"mdat", random.Random(2).randbytes(100))


_FILES: dict[str, Callable[[], Any]] = {
    "JPEG": lambda: ("JPEG", saved("JPEG")),
    "JPEG, grey": lambda: ("JPEG", saved("JPEG", "L")),
    "JPEG, CMYK": lambda: ("JPEG", saved("JPEG", "CMYK")),
    "JPEG, progressive, several scans": lambda: ("JPEG", saved("JPEG", progressive=True)),
    "JPEG with restart markers": lambda: ("JPEG", saved("JPEG", restart_marker_blocks=2)),
    "JPEG turned by EXIF": lambda: ("JPEG", make_image(Format.JPEG, WIDTH, HEIGHT, orientation=6)),
    "JPEG with fill bytes": _fill_bytes,
    "JPEG of a phone: EXIF thumbnail, profile, video after it": _phone,
    "JPEG with a second picture (MPO)": _mpo,
    "PNG": lambda: ("PNG", saved("PNG")),
    "PNG with a palette": lambda: ("PNG", saved("PNG", "P")),
    "PNG with bytes after it": _png_with_trailer,
    "PNG with its end chunk inside another": _png_naming_its_end,
    "PNG as Apple's tools write it": _apple_png,
    "PNG, animated": lambda: ("PNG", _frames("PNG", 4)),
    "GIF": lambda: ("GIF", saved("GIF", "P")),
    "GIF of 60 frames": lambda: ("GIF", _frames("GIF", 60, duration=20)),
    "BMP": lambda: ("BMP", saved("BMP")),
    "BMP, OS/2 1": lambda: ("BMP", _bmp(12)),
    "BMP, OS/2 2": lambda: ("BMP", _bmp(64)),
    "BMP, version 5": lambda: ("BMP", _bmp(124)),
    "BMP, top row first": lambda: ("BMP", _bmp(40, top_down=True)),
    "BMP, run lengths": lambda: ("BMP", _bmp(40, compression=1)),
    "TIFF of Pillow": lambda: ("TIFF", saved("TIFF")),
    "TIFF, directory first": lambda: ("TIFF", make_image(Format.TIFF, WIDTH, HEIGHT, directory_first=True)),
    "TIFF, directory at the end": lambda: ("TIFF", make_image(Format.TIFF, WIDTH, HEIGHT)),
    "TIFF, LZW": lambda: ("TIFF", saved("TIFF", compression="tiff_lzw")),
    "TIFF with a JPEG inside": lambda: ("TIFF", saved("TIFF", compression="jpeg")),
    "TIFF, big-endian": lambda: ("TIFF", tiff(">")),
    "TIFF, lists before the directory": lambda: ("TIFF", tiff(lists_first=True)),
    "TIFF in tiles": lambda: ("TIFF", tiff(tiles=True)),
    "TIFF of three pages": lambda: ("TIFF", tiff(pages=3)),
    "BigTIFF": lambda: ("TIFF", tiff(big=True)),
    "BigTIFF, big-endian, tiles, two pages": lambda: ("TIFF", tiff(">", big=True, tiles=True, pages=2)),
    "WebP": lambda: ("WEBP", saved("WEBP")),
    "WebP, lossless": lambda: ("WEBP", saved("WEBP", lossless=True)),
    "WebP, extended": lambda: ("WEBP", make_image(Format.WEBP, WIDTH, HEIGHT, orientation=8)),
    "WebP, animated": lambda: ("WEBP", _frames("WEBP", 3)),
    "AVIF": lambda: ("AVIF", _avif()),
    "AVIF, turned": lambda: ("AVIF", _avif(orientation=6)),
    "AVIF, animated": lambda: ("AVIF", _avif(frames=3)),
    "AVIF with an open last box": _open_end,
    "HEIC": lambda: ("HEIC", _heic(_avif())),
    "HEIC, turned": lambda: ("HEIC", _heic(_avif(orientation=8))),
    "HEIC by hand, thumbnail first": lambda: ("HEIC", heif(WIDTH, HEIGHT)),
    "HEIC by hand, wide numbers": lambda: ("HEIC", heif(WIDTH, HEIGHT, version=1)),
}
