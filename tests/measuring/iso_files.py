"""Writes AVIF and HEIC files box by box, also those that no encoder writes. Their pictures are noise."""

import random
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.measuring.corpus import box


def full(kind: bytes, content: bytes, version: int = 0, flags: int = 0) -> bytes:
    """Return a box with version and flags."""
    return box(kind, struct.pack(">I", version << 24 | flags) + content)


def large(content: bytes) -> bytes:
    """Return a box with a length of 64 bits."""
    return struct.pack(">I4sQ", 1, content[4:8], len(content) + 8) + content[8:]


def endless(content: bytes) -> bytes:
    """Return a box that extends to the end of the box around it, or of the file."""
    return bytes(4) + content[4:]


def ftyp(*brands: bytes) -> bytes:
    """Return the first box: the main brand, its version, and the others."""
    return box(b"ftyp", brands[0] + bytes(4) + b"".join(brands[1:]))


def ispe(width: int, height: int) -> bytes:
    """Return the property of a size."""
    return full(b"ispe", struct.pack(">II", width, height))


def clap(width: int, height: int, per_width: int = 1, per_height: int = 1) -> bytes:
    """Return the property of a cropping: numerators and denominators of a size, then offsets of its center."""
    return box(b"clap", struct.pack(">4I4i", width, per_width, height, per_height, -1, 2, -1, 2))


def irot(quarters: int) -> bytes:
    """Return the property of a turn by quarters."""
    return box(b"irot", bytes([quarters]))


def _changed(content: bytes, changes: dict[bytes, Callable[[bytes], bytes]]) -> bytes:
    change = changes.get(content[4:8])
    return change(content) if change else content


@dataclass
class Item:
    """An item and what the tables say about it."""

    number: int
    kind: bytes = b"hvc1"
    # Indices of properties, from 1; negative ones are essential.
    properties: Sequence[int] = ()
    extents: Sequence[int] = (50,)
    # Where the extents are, 0: in the file; 1: in the box `idat`; 2: in items that it refers to.
    method: int = 0
    # Index of another file that holds the extents.
    file: int = 0


@dataclass
class Iso:
    """A file in the order ftyp, meta, mdat. Its numbers are as narrow as their boxes allow, or wide."""

    items: Sequence[Item]
    properties: Sequence[bytes]
    primary: int = 1
    brands: Sequence[bytes] = (b"heic", b"mif1")
    # Type, item, and the items that it refers to.
    references: Sequence[tuple[bytes, int, Sequence[int]]] = ()
    wide: int = 0
    wide_indices: int = 0
    infe_version: int = 2
    iloc_version: int = 1
    # Bytes of offset, length, base and index.
    iloc_sizes: tuple[int, int, int, int] = (4, 4, 0, 0)
    # The items of each `ipma`; by default, one for all.
    tables: Sequence[Sequence[int]] = ()
    # What changes boxes as they are written, by type.
    changes: dict[bytes, Callable[[bytes], bytes]] = field(default_factory=dict)
    after: bytes = b""

    def content(self) -> bytes:
        """Return the file."""
        mdat = self._changed(box(b"mdat", self._noise(0)))
        return self._changed(ftyp(*self.brands)) + self._meta(self._start()) + mdat + self.after

    def end_of(self, number: int) -> int:
        """Return where an item's last extent ends in the file."""
        at = self._start()
        for item in self.items:
            at += self._bytes_in(item, 0)
            if item.number == number:
                return at
        raise ValueError(number)

    def _start(self) -> int:
        return len(self._changed(ftyp(*self.brands)) + self._meta(0) + self._changed(box(b"mdat", b"")))

    def _bytes_in(self, item: Item, method: int) -> int:
        return sum(item.extents) if item.method == method and not item.file else 0

    def _noise(self, method: int) -> bytes:
        return random.Random(1).randbytes(sum(self._bytes_in(item, method) for item in self.items))

    def _changed(self, content: bytes) -> bytes:
        return _changed(content, self.changes)

    def _number(self, value: int, is_wide: int) -> bytes:
        return struct.pack(">I" if is_wide else ">H", value)

    def _meta(self, start: int) -> bytes:
        ipco = self._changed(box(b"ipco", b"".join(map(self._changed, self.properties))))
        tables = self.tables or [[item.number for item in self.items]]
        boxes = [
            full(b"hdlr", bytes(4) + b"pict" + bytes(13)),
            full(b"pitm", self._number(self.primary, self.wide), self.wide),
            self._iinf(),
            self._iref(),
            box(b"iprp", ipco + b"".join(self._changed(self._ipma(table)) for table in tables)),
            box(b"idat", self._noise(1)),
            self._iloc(start),
        ]
        return self._changed(full(b"meta", b"".join(map(self._changed, boxes))))

    def _iinf(self) -> bytes:
        version = self.infe_version
        infe = [
            full(b"infe", self._number(item.number, version == 3) + bytes(2) + item.kind + b"\0", version)
            for item in self.items
        ]
        return full(b"iinf", self._number(len(infe), self.wide) + b"".join(infe), self.wide)

    def _iref(self) -> bytes:
        references = [
            box(kind, b"".join(self._number(number, self.wide) for number in (source, *to)))
            for kind, source, to in self.references
        ]
        at = 12 if self.wide else 10
        counted = [
            struct.pack(">I", len(content) + 2) + content[4:at] + struct.pack(">H", len(to)) + content[at:]
            for content, (_, _, to) in zip(references, self.references, strict=True)
        ]
        return full(b"iref", b"".join(counted), self.wide)

    def _ipma(self, table: Sequence[int]) -> bytes:
        entries = b""
        for item in self.items:
            if item.number in table:
                bits = 0x8000 if self.wide_indices else 0x80
                indices = [abs(index) | (bits if index < 0 else 0) for index in item.properties]
                entries += self._number(item.number, self.wide) + bytes([len(indices)])
                entries += b"".join(index.to_bytes(1 + self.wide_indices) for index in indices)
        return full(b"ipma", struct.pack(">I", len(table)) + entries, self.wide, self.wide_indices)

    def _iloc(self, start: int) -> bytes:
        version, (offset_bytes, length_bytes, base_bytes, index_bytes) = self.iloc_version, self.iloc_sizes
        sizes = bytes([offset_bytes << 4 | length_bytes, base_bytes << 4 | index_bytes])
        entries, places = b"", [start, 0, 0]
        for item in self.items:
            at = places[item.method]
            base = at if base_bytes else 0
            entries += self._number(item.number, version == 2)
            entries += (struct.pack(">H", item.method) if version else b"") + struct.pack(">H", item.file)
            entries += base.to_bytes(base_bytes) + struct.pack(">H", len(item.extents))
            for extent in item.extents:
                entries += bytes(index_bytes if version else 0)
                entries += (at - base if offset_bytes else 0).to_bytes(offset_bytes)
                entries += (extent if length_bytes else 0).to_bytes(length_bytes)
                at += extent
            if not item.file:
                places[item.method] = at
        return full(b"iloc", sizes + self._number(len(self.items), version == 2) + entries, version)


@dataclass
class Track:
    """A track of samples."""

    # With a fraction of 16 bits.
    size: tuple[int, int]
    # Where each chunk starts in the file, and the lengths of its samples.
    chunks: Sequence[tuple[int, Sequence[int]]]
    handler: bytes = b"pict"
    coding: bytes = b"av01"
    # The size in the description of the samples.
    described: tuple[int, int] = (0, 0)
    version: int = 0
    large_offsets: bool = False
    # The length of all samples; 0 for a list of lengths.
    same_length: int = 0
    # What changes tables as they are written, by type.
    changes: dict[bytes, Callable[[bytes], bytes]] = field(default_factory=dict)

    def content(self) -> bytes:
        """Return the box."""
        times = struct.pack(">QQIIQ" if self.version else ">IIIII", 1, 1, 1, 0, 9)
        tkhd = full(b"tkhd", times + bytes(52) + struct.pack(">II", *self.size), self.version, 3)
        hdlr = full(b"hdlr", bytes(4) + self.handler + bytes(13))
        description = bytes(24) + struct.pack(">HH", *self.described) + bytes(50) + box(b"av1C", bytes(4))
        stsd = full(b"stsd", struct.pack(">I", 1) + box(self.coding, description))
        tables = (self._stsc(), self._stsz(), self._offsets())
        stbl = box(b"stbl", stsd + b"".join(_changed(table, self.changes) for table in tables))
        return box(b"trak", tkhd + box(b"mdia", full(b"mdhd", bytes(20)) + hdlr + box(b"minf", stbl)))

    def _stsc(self) -> bytes:
        counts = [len(lengths) for _, lengths in self.chunks]
        runs = [(at + 1, count, 7) for at, count in enumerate(counts) if at == 0 or count != counts[at - 1]]
        return full(b"stsc", struct.pack(">I", len(runs)) + b"".join(struct.pack(">III", *run) for run in runs))

    def _stsz(self) -> bytes:
        lengths = [length for _, lengths in self.chunks for length in lengths]
        listed = b"" if self.same_length else struct.pack(f">{len(lengths)}I", *lengths)
        return full(b"stsz", struct.pack(">II", self.same_length, len(lengths)) + listed)

    def _offsets(self) -> bytes:
        kind, letter = (b"co64", "Q") if self.large_offsets else (b"stco", "I")
        starts = struct.pack(f">{len(self.chunks)}{letter}", *(start for start, _ in self.chunks))
        return full(kind, struct.pack(">I", len(self.chunks)) + starts)
