"""Hostile files: small ones that claim to be large, and large ones with as many small parts as fit."""

import io
import struct
import zlib
from collections.abc import Callable, Iterator

from PIL import Image

from tests.measuring.corpus import box, heif, jpeg_segment, png_chunk, saved, tiff

MB = 1024 * 1024


def bombs(size: int = 8 * MB) -> Iterator[tuple[str, bytes]]:
    """Yield the name and content of each file; the large ones have about so many bytes."""
    for name, make in _BOMBS.items():
        yield name, make(size)


def _filled(head: bytes, part: bytes, size: int, tail: bytes = b"") -> bytes:
    return head + part * ((size - len(head) - len(tail)) // len(part)) + tail


def _white(kind: str, side: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("1" if kind in {"PNG", "BMP", "TIFF"} else "L", (side, side)).save(buffer, kind)
    return buffer.getvalue()


def _png(*chunks: bytes, width: int = 50, height: int = 50) -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks)


def _zeros(size: int) -> bytes:
    return zlib.compress(bytes(size), 9)


def _tiff(entries: list[tuple[int, int, int, int]], *, following: int = 0, tail: bytes = b"") -> bytes:
    table = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return struct.pack("<2sHIH", b"II", 42, 8, len(entries)) + table + struct.pack("<I", following) + tail


def _tiff_of_strips(size: int) -> bytes:
    count = size // 8 - 50
    at = 14 + 12 * 4
    entries = [(256, 4, 1, 50), (257, 4, 1, 50), (273, 4, count, at), (279, 4, count, at + 4 * count)]
    return _tiff(entries, tail=bytes(8 * count))


def _tiff_of_tags(size: int) -> bytes:
    # Every tag's value is the whole file.
    return _tiff([(256 + number, 7, size - 10, 8) for number in range(65_000)], tail=bytes(max(0, size - 780_014)))


def _tiff_of_directories(size: int) -> bytes:
    body = bytearray(struct.pack("<2sHI", b"II", 42, 8))
    tags = struct.pack("<HHHIIHHII", 2, 256, 4, 1, 5, 257, 4, 1, 5)
    while len(body) + 30 < size:
        body += tags + struct.pack("<I", len(body) + 30)
    return bytes(body)


def _tiff_of_offsets_only(size: int) -> bytes:
    # In each directory, three tags of offsets share the same values, and their tags of lengths have no values.
    count = min(8_192, size // 8)
    tags = [(256, 4, 1, 5), (257, 4, 1, 5)]
    for offsets, counts in ((273, 279), (324, 325), (513, 514)):
        tags += [(offsets, 4, count, 8), (counts, 4, 0, 0)]
    table = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags))
    body = bytearray(struct.pack("<2sHI", b"II", 42, 8 + 4 * count) + bytes(4 * count))
    for _ in range(min(10_000, (size - len(body)) // (len(table) + 4))):
        body += table + struct.pack("<I", len(body) + len(table) + 4)
    body[-4:] = bytes(4)
    return bytes(body)


def _iso(*boxes: bytes) -> bytes:
    return box(b"ftyp", b"heic" + bytes(4) + b"mif1") + b"".join(boxes)


def _endless_iloc() -> bytes:
    content = bytearray(heif(60, 40))
    place = content.index(b"iloc") + 8
    content[place : place + 4] = b"\0\0\xff\xff"
    return bytes(content)


def _nested(size: int) -> bytes:
    content = b""
    while len(content) < min(size, 60_000):
        content = box(b"meta", bytes(4) + content)
    return _iso(content)


_BOMBS: dict[str, Callable[[int], bytes]] = {
    "empty file": lambda _: b"",
    "one byte": lambda _: b"\xff",
    "HTML": lambda _: b"<!doctype html><html><body>not here</body></html>",
    "SVG with a script": lambda _: b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'><script/></svg>",
    "PNG of 30,000 x 30,000 white pixels": lambda _: _white("PNG", 30_000),
    "PNG that claims 4 billion pixels a side": lambda _: _png(width=2**32 - 1, height=2**32 - 1),
    "JPEG that claims 65,535 pixels a side": lambda _: (
        b"\xff\xd8" + jpeg_segment(0xC0, struct.pack(">BHHB", 8, 65_535, 65_535, 1) + b"\1\x11\0") + bytes(90)
    ),
    "GIF that claims 65,535 pixels a side": lambda _: b"GIF89a\xff\xff\xff\xff\0\0\0" + bytes(90),
    "WebP that claims 16 million pixels a side": lambda _: (
        b"RIFF" + struct.pack("<I4s4sI", 90, b"WEBP", b"VP8X", 10) + b"\0\0\0\0" + b"\xff" * 6 + bytes(90)
    ),
    "BMP that claims 2 billion pixels a side": lambda _: (
        struct.pack("<2sI4xIIiiHH", b"BM", 100, 54, 40, 2**31 - 1, -(2**31), 1, 32) + bytes(90)
    ),
    "TIFF that claims 4 billion pixels a side": lambda _: _tiff([(256, 4, 1, 2**32 - 1), (257, 4, 1, 2**32 - 1)]),
    "HEIC that claims 4 billion pixels a side": lambda _: heif(2**32 - 1, 2**32 - 1),
    "PNG with a profile that inflates to 100 MB": lambda _: _png(png_chunk(b"iCCP", b"x\0\0" + _zeros(100 * MB))),
    "PNG of texts that inflate to 1 MB each": lambda size: _filled(
        _png(), png_chunk(b"zTXt", b"x\0\0" + _zeros(MB)), size
    ),
    "PNG of empty chunks": lambda size: _filled(_png(), png_chunk(b"IDAT", b""), size),
    "PNG whose chunk claims 4 GB": lambda size: _png(struct.pack(">I4s", 2**32 - 1, b"IDAT")) + bytes(size),
    "JPEG of empty segments": lambda size: _filled(b"\xff\xd8", jpeg_segment(0xE1, b""), size),
    "JPEG of segments of 64 KB": lambda size: _filled(b"\xff\xd8", jpeg_segment(0xE2, bytes(65_533)), size),
    "JPEG of fill bytes": lambda size: _filled(b"\xff\xd8", b"\xff", size),
    "JPEG of bytes between segments": lambda size: _filled(b"\xff\xd8\xff\xe0\0\2", b"\0", size),
    "JPEG of segments of length 0": lambda size: _filled(b"\xff\xd8", b"\xff\xe0\0\0", size),
    "JPEG without an end": lambda size: _filled(saved("JPEG")[:-2], b"\xff\0", size),
    "GIF of sub-blocks of one byte": lambda size: _filled(b"GIF89a\5\0\5\0\0\0\0!\xfe", b"\1x", size),
    "GIF of empty extensions": lambda size: _filled(b"GIF89a\5\0\5\0\0\0\0", b"!\xfe\0", size),
    "GIF of padding": lambda size: _filled(b"GIF89a\5\0\5\0\0\0\0", b"\0", size),
    "TIFF whose directory is its own next": lambda _: _tiff([(256, 4, 1, 5), (257, 4, 1, 5)], following=8),
    "TIFF whose directory lies in its header": lambda _: struct.pack("<2sHI", b"II", 42, 0) + bytes(90),
    "TIFF of strips without bytes": _tiff_of_strips,
    "TIFF of tags with all of the file": _tiff_of_tags,
    "TIFF of directories": _tiff_of_directories,
    "TIFF of offsets without counts": _tiff_of_offsets_only,
    "TIFF of 2**32 strips": lambda _: _tiff([(256, 4, 1, 5), (257, 4, 1, 5), (273, 4, 2**32 - 1, 8), (279, 4, 9, 8)]),
    "BigTIFF of 2**64 tags": lambda _: struct.pack("<2sHHHQQ", b"II", 43, 8, 0, 16, 2**64 - 1) + bytes(90),
    "WebP whose chunk claims 4 GB": lambda size: (
        b"RIFF" + struct.pack("<I4s4sI", 4, b"WEBP", b"VP8 ", 2**32 - 1) + bytes(size)
    ),
    "HEIC of empty boxes": lambda size: _filled(_iso(), box(b"free", b""), size),
    "HEIC of boxes of length 0": lambda size: _iso() + bytes(size),
    "HEIC whose box claims 16 EB": lambda size: _iso(struct.pack(">I4sQ", 1, b"meta", 2**64 - 1)) + bytes(size),
    "HEIC with a meta box as large as it": lambda size: _iso(box(b"meta", bytes(size))),
    "HEIC of boxes in boxes": _nested,
    "HEIC with 65,535 items": lambda _: _endless_iloc(),
    "JPEG that is HTML after its signature": lambda size: _filled(b"\xff\xd8\xff<html>", b"<script>", size),
    "PNG with a ZIP after it": lambda _: saved("PNG") + b"PK\3\4" + bytes(900),
    "GIF that is JavaScript": lambda _: b"GIF89a=1;/*" + bytes(900) + b"*/=alert(1)",
    "TIFF of three pages that is cut": lambda _: tiff(pages=3)[:-1],
}
