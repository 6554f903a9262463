"""Hostile files: small ones that claim to be large, and large ones with as many small parts as fit."""

import io
import struct
import zlib
from collections.abc import Iterator

from PIL import Image

from tests.measuring.corpus import jpeg_segment, png_chunk, saved, tiff, tiff_directory
from tests.measuring.iso_bombs import Bomb, iso_bombs

MB = 1024 * 1024
_GIF = b"GIF89a\5\0\5\0\0\0\0"
_SIDES = [(256, 4, 1, 5), (257, 4, 1, 5)]


def bombs(size: int = 8 * MB) -> Iterator[Bomb]:
    """Yield each file; the large ones have about so many bytes."""
    yield from _claims()
    yield from _streams(size)
    yield from _tiffs(size)
    yield "WebP whose chunk claims 4 GB", lambda: _webp(4, b"VP8 ", 2**32 - 1) + bytes(size)
    yield from iso_bombs(size)
    yield "JPEG that is HTML after its signature", lambda: _filled(b"\xff\xd8\xff<html>", b"<script>", size)
    yield "PNG with a ZIP after it", lambda: saved("PNG") + b"PK\3\4" + bytes(900)
    yield "GIF that is JavaScript", lambda: b"GIF89a=1;/*" + bytes(900) + b"*/=alert(1)"
    yield "TIFF of three pages that is cut", lambda: tiff(pages=3)[:-1]


def _filled(head: bytes, part: bytes, size: int) -> bytes:
    return head + part * ((size - len(head)) // len(part))


def _png(*chunks: bytes, side: int = 50) -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks)


def _inflating(kind: bytes, size: int) -> bytes:
    return png_chunk(kind, b"x\0\0" + zlib.compress(bytes(size), 9))


def _tiff(*tags: tuple[int, int, int, int], following: int = 0) -> bytes:
    return struct.pack("<2sHI", b"II", 42, 8) + tiff_directory(tags, following)


def _tiff_chain(head: bytes, tags: list[tuple[int, int, int, int]], count: int) -> bytes:
    """Append so many directories, each of which refers to the place after it."""
    content, table = bytearray(head), tiff_directory(tags)
    for _ in range(count):
        content += table[:-4] + struct.pack("<I", len(content) + len(table))
    return bytes(content)


def offsets_without_counts(directories: int) -> bytes:
    """Return a TIFF in which three tags of offsets share the same values, and their tags of lengths have no values."""
    tags = [*_SIDES, *((tag, 4, 8_192, 8) for tag in (273, 324, 513)), *((tag, 4, 0, 0) for tag in (279, 325, 514))]
    values = struct.pack("<2sHI", b"II", 42, 8 + 4 * 8_192) + bytes(4 * 8_192)
    return _tiff_chain(values, tags, directories)[:-4] + bytes(4)


def _empty_strips(count: int) -> bytes:
    """Return a TIFF of so many strips without bytes."""
    at = 14 + 12 * 4
    table = _tiff((256, 4, 1, 50), (257, 4, 1, 50), (273, 4, count, at), (279, 4, count, at + 4 * count))
    return table + bytes(8 * count)


def _tags_with_all(size: int) -> bytes:
    """Return a TIFF of so many bytes, which each of its tags claims."""
    tags = [(256 + number, 7, size - 10, 8) for number in range(65_000)]
    return _tiff(*tags) + bytes(max(0, size - 780_014))


def _sharing_strips(directories: int, strips: int) -> bytes:
    """Return a TIFF of directories whose lists of strips are all the same."""
    values = struct.pack("<2sHI", b"II", 42, 8 + 4 * strips) + bytes(4 * strips)
    tags = [*_SIDES, (273, 4, strips, 8), (279, 4, strips, 8)]
    return _tiff_chain(values, tags, directories)[:-4] + bytes(4)


def _sharing_subs(directories: int) -> bytes:
    """Return a TIFF of directories whose lists of 8,192 sub-directories are all the same: places in the header."""
    values = struct.pack("<2sHI", b"II", 42, 8 + 4 * 8_192) + bytes(4 * 8_192)
    return _tiff_chain(values, [*_SIDES, (330, 4, 8_192, 8)], directories)[:-4] + bytes(4)


def _listing_subs(count: int) -> bytes:
    """Return a TIFF of so many sub-directories."""
    table = tiff_directory(_SIDES)
    first = _tiff(*_SIDES, (330, 4, count, 8 + len(tiff_directory([*_SIDES, (330, 4, 1, 0)]))))
    offsets = [len(first) + 4 * count + len(table) * number for number in range(count)]
    return first + struct.pack(f"<{count}I", *offsets) + table * count


def _webp(riff: int, kind: bytes, length: int) -> bytes:
    return b"RIFF" + struct.pack("<I4s4sI", riff, b"WEBP", kind, length)


def _white() -> bytes:
    content = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(content, "PNG")
    return content.getvalue()


def _claims() -> Iterator[Bomb]:
    yield "empty file", lambda: b""
    yield "one byte", lambda: b"\xff"
    yield "HTML", lambda: b"<!doctype html><html><body>not here</body></html>"
    yield "SVG with a script", lambda: b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'><script/></svg>"
    yield "PNG of 30,000 x 30,000 white pixels", _white
    yield "PNG that claims 4 billion pixels a side", lambda: _png(side=2**32 - 1)
    frame = jpeg_segment(0xC0, struct.pack(">BHHB", 8, 65_535, 65_535, 1) + b"\1\x11\0")
    yield "JPEG that claims 65,535 pixels a side", lambda: b"\xff\xd8" + frame + bytes(90)
    yield "GIF that claims 65,535 pixels a side", lambda: b"GIF89a\xff\xff\xff\xff\0\0\0" + bytes(90)
    canvas = b"\0\0\0\0" + b"\xff" * 6
    yield "WebP that claims 16 million pixels a side", lambda: _webp(90, b"VP8X", 10) + canvas + bytes(90)
    header = struct.pack("<2sI4xIIiiHH", b"BM", 100, 54, 40, 2**31 - 1, -(2**31), 1, 32)
    yield "BMP that claims 2 billion pixels a side", lambda: header + bytes(90)
    yield "TIFF that claims 4 billion pixels a side", lambda: _tiff((256, 4, 1, 2**32 - 1), (257, 4, 1, 2**32 - 1))


def _streams(size: int) -> Iterator[Bomb]:
    yield "PNG with a profile that inflates to 100 MB", lambda: _png(_inflating(b"iCCP", 100 * MB))
    yield "PNG of texts that inflate to 1 MB each", lambda: _filled(_png(), _inflating(b"zTXt", MB), size)
    yield "PNG of empty chunks", lambda: _filled(_png(), png_chunk(b"IDAT", b""), size)
    yield "PNG whose chunk claims 4 GB", lambda: _png(struct.pack(">I4s", 2**32 - 1, b"IDAT")) + bytes(size)
    yield "JPEG of empty segments", lambda: _filled(b"\xff\xd8", jpeg_segment(0xE1, b""), size)
    yield "JPEG of segments of 64 KB", lambda: _filled(b"\xff\xd8", jpeg_segment(0xE2, bytes(65_533)), size)
    yield "JPEG of fill bytes", lambda: _filled(b"\xff\xd8", b"\xff", size)
    yield "JPEG of bytes between segments", lambda: _filled(b"\xff\xd8\xff\xe0\0\2", b"\0", size)
    yield "JPEG of segments of length 0", lambda: _filled(b"\xff\xd8", b"\xff\xe0\0\0", size)
    yield "JPEG without an end", lambda: _filled(saved("JPEG")[:-2], b"\xff\0", size)
    yield "GIF of sub-blocks of one byte", lambda: _filled(_GIF + b"!\xfe", b"\1x", size)
    yield "GIF of empty extensions", lambda: _filled(_GIF, b"!\xfe\0", size)
    yield "GIF of padding", lambda: _filled(_GIF, b"\0", size)


def _tiffs(size: int) -> Iterator[Bomb]:
    yield "TIFF whose directory is its own next", lambda: _tiff(*_SIDES, following=8)
    yield "TIFF whose directory lies in its header", lambda: struct.pack("<2sHI", b"II", 42, 0) + bytes(90)
    yield "TIFF of strips without bytes", lambda: _empty_strips(size // 8 - 50)
    yield "TIFF of tags with all of the file", lambda: _tags_with_all(size)
    yield "TIFF of directories", lambda: _tiff_chain(struct.pack("<2sHI", b"II", 42, 8), _SIDES, (size - 9) // 30)
    yield "TIFF of offsets without counts", lambda: offsets_without_counts(min(10_000, size // 110))
    yield "TIFF of directories that share strips", lambda: _sharing_strips(9_999, 2)
    yield "TIFF of lists that share strips", lambda: _sharing_strips(120, 8_192)
    yield "TIFF of directories that share sub-directories", lambda: _sharing_subs(9_000)
    yield "TIFF of a list of sub-directories", lambda: _listing_subs(size // 34)
    yield "TIFF of 2**32 strips", lambda: _tiff(*_SIDES, (273, 4, 2**32 - 1, 8), (279, 4, 9, 8))
    yield "BigTIFF of 2**64 tags", lambda: struct.pack("<2sHHHQQ", b"II", 43, 8, 0, 16, 2**64 - 1) + bytes(90)
