"""Hostile files of boxes: AVIF and HEIC with as many parts as fit, in small files."""

import struct
from collections.abc import Callable, Iterator

from tests.measuring.corpus import box
from tests.measuring.iso_files import Iso, Item, Track, ftyp, full, irot, ispe

_START = ftyp(b"heic", b"mif1")
_SIZE = ispe(60, 40)

# The name of a file, and what makes its content: making them all takes seconds, collecting the tests must not.
Bomb = tuple[str, Callable[[], bytes]]


def iso_bombs(size: int) -> Iterator[Bomb]:
    """Yield each file; the large ones have about so many bytes."""
    yield (
        "HEIC that claims 4 billion pixels a side",
        lambda: Iso([Item(1, properties=[1])], [ispe(2**32 - 1, 2**32 - 1)]).content(),
    )
    yield "HEIC of empty boxes", lambda: _START + box(b"free", b"") * (size // 8)
    yield "HEIC of boxes of length 0", lambda: _START + bytes(size)
    yield "HEIC whose box claims 16 EB", lambda: _START + struct.pack(">I4sQ", 1, b"meta", 2**64 - 1) + bytes(size)
    yield "HEIC with a meta box as large as it", lambda: _START + box(b"meta", bytes(size))
    yield "HEIC of boxes in boxes", lambda: _START + _nested(min(size, 60_000))
    yield "HEIC of tracks without a box", lambda: _START + box(b"moov", box(b"trak", b"") * (size // 8))
    yield "HEIC of descriptions without an item", lambda: _START + full(b"meta", b"") * (size // 12)
    yield "HEIC with 65,535 items", lambda: _with(b"iloc", b"\0\0\xff\xff")
    yield "AVIF with 262,000 extents of one byte", lambda: _with(b"iloc", b"\1\0\0\1" + _item(65_535) + bytes(262_000))
    yield "AVIF with 60,000 extents", lambda: _with(b"iloc", b"\4\0\0\1" + _item(60_000) + b"\0\0\0\1" * 60_000)
    yield "AVIF with 40,000 items", lambda: _with(b"iloc", b"\0\0" + struct.pack(">H", 40_000) + _item(1) * 40_000)
    yield (
        "AVIF with properties of 60,000 items",
        lambda: _with(b"ipma", struct.pack(">I", 60_000) + b"\0\2\0" * 59_999 + b"\0\1\1\1"),
    )
    yield (
        "AVIF with 250,000 associations",
        lambda: _with(b"ipma", struct.pack(">I", 980) + (b"\0\1\xff" + b"\1" * 255) * 980),
    )
    yield "AVIF with 32,000 properties", lambda: _with(b"ipco", box(b"free", b"") * 32_000)
    yield "AVIF with 32,000 sizes", lambda: _with(b"ipco", _SIZE * 32_000)
    yield "AVIF with 29,000 turns", lambda: _with(b"ipco", irot(1) * 29_000)
    yield "AVIF of 65,535 tiles", lambda: _with(b"iref", box(b"dimg", b"\0\1\xff\xff" + bytes(2 * 65_535)))
    yield "AVIF with a chain of 16,000 pictures", lambda: _with(b"iref", _chain(16_000))
    yield "AVIF with 62,000 chunks", lambda: _of_chunks(62_000)


def _nested(size: int) -> bytes:
    nested = b""
    while len(nested) < size:
        nested = box(b"meta", bytes(4) + nested)
    return nested


def _chain(pictures: int) -> bytes:
    return b"".join(box(b"dimg", struct.pack(">HHH", number, 1, number + 1)) for number in range(1, pictures))


def _of_chunks(count: int) -> bytes:
    samples = Track((60 << 16, 40 << 16), [(1_000, [1])] * count, same_length=1)
    return ftyp(b"avis") + box(b"moov", samples.content())


def _item(extents: int) -> bytes:
    return struct.pack(">HHH", 1, 0, extents)


def _with(kind: bytes, content: bytes) -> bytes:
    """Return an AVIF with another content of one of its boxes."""
    new = box(kind, content) if kind == b"ipco" else full(kind, content)
    return Iso([Item(1, properties=[1])], [_SIZE], brands=(b"mif1",), changes={kind: lambda _: new}).content()
