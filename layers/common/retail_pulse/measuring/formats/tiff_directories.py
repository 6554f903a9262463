"""The directories of a TIFF or BigTIFF: the largest picture, and where everything that it needs ends.

Pillow takes the first directory for the picture, which in a raw photo is the thumbnail (its issue 6482). It also reads
the values of all tags into memory. Here some tags of every directory are read, and no other values.
"""

import io
import math
import operator
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import IO, Literal

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.measuring.formats.walker import Size
from retail_pulse.measuring.steps import StepBudget

# Per directory, which is read in one piece: what fits into a TIFF's count, and what libtiff accepts in a BigTIFF.
_MAX_TAGS = 65_535
_BLOCK_VALUES = 8_192
# What parts take, in steps of the budget: a directory, a read of values, and how many tags or values are one step.
_DIRECTORY_STEPS = 20
_READ_STEPS = 8
_TAGS_PER_STEP = 4
_VALUES_PER_STEP = 24

_SUBFILE, _OLD_SUBFILE, _WIDTH, _HEIGHT, _PHOTOMETRIC, _SUB_DIRECTORIES, _DNG = 254, 255, 256, 257, 262, 330, 50706
# Offsets and lengths of the image data: of strips, of tiles, and of a JPEG as in TIFF 6.0.
_DATA_TAGS = ((273, 279), (324, 325), (513, 514))
# What else pixels cannot be decoded without: bits per sample, colors, sample formats, and tables of JPEGs.
_DECODER_TAGS = frozenset({258, 320, 339, 347, 519, 520, 521})
_READ_TAGS = _DECODER_TAGS.union(
    *_DATA_TAGS, (_SUBFILE, _OLD_SUBFILE, _WIDTH, _HEIGHT, _PHOTOMETRIC, _SUB_DIRECTORIES, _DNG)
)
# Bits of NewSubfileType, and the value of its predecessor for a picture of reduced resolution.
_REDUCED, _PAGE, _MASK = 1, 2, 4
_OLD_REDUCED = 2
# What the sensor of a camera saw, in TIFF/EP and DNG: a color filter array, or linear values.
_SENSOR_VALUES = frozenset({32803, 34892})

_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_INTEGER_FORMATS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}


class EndsEarlyError(Exception):
    """Something lies beyond the end of the file."""


class _Layout:
    """The byte order, and what TIFF and BigTIFF differ in. A tag itself holds values up to the length of an offset."""

    def __init__(self, signature: bytes) -> None:
        self.byte_order: Literal["little", "big"] = "little" if signature[:2] == b"II" else "big"
        self.order = "<" if signature[:2] == b"II" else ">"
        count, offset, tag = ("Q", "Q", "HHQ8s") if b"+" in signature else ("H", "I", "HHI4s")
        self.count = struct.Struct(self.order + count)
        self.offset = struct.Struct(self.order + offset)
        self.tag = struct.Struct(self.order + tag)


@dataclass(slots=True)
class _Tag:
    type: int
    count: int
    value: bytes


_Tags = Mapping[int, _Tag]


class _Kind(Enum):
    """What a directory describes."""

    PICTURE = auto()
    SENSOR = auto()  # the picture of a raw photo
    COPY = auto()  # a picture of reduced resolution, or a mask


class Directories:
    """Reads the chain of directories and their sub-directories.

    Parameters
    ----------
    file
        The file, from its first byte on.
    length
        The length of the file in bytes.
    steps
        What the work is counted on.

    Attributes
    ----------
    end
        The offset in the file where everything ends that its pictures need.
    """

    def __init__(self, file: IO[bytes], length: int, steps: StepBudget) -> None:
        self._file = file
        self._length = length
        self._steps = steps
        self._layout = _Layout(self._read(0, 4))
        self._seen: set[int] = set()
        self.end = 0

    def read(self) -> Size | None:
        """Return the size of the largest picture that is not a reduced copy; None if no directory has a size.

        Raises
        ------
        EndsEarlyError
            A directory, or the list of a picture's parts, lies beyond the end of the file.
        MeasuringError
            There are only reduced copies, a picture's tags are invalid, or there are more of them than in real files.
        """
        largest: dict[_Kind, Size] = dict.fromkeys(_Kind, (0, 0))
        has_copies = has_sensor = False
        tags: _Tags = {}
        for tags in self._all():
            is_sensor = self._number(tags, _PHOTOMETRIC) in _SENSOR_VALUES
            kind = self._kind(tags, is_sensor=is_sensor)
            has_copies = has_copies or kind is _Kind.COPY
            has_sensor = has_sensor or is_sensor
            size = self._number(tags, _WIDTH), self._number(tags, _HEIGHT)
            if kind is not _Kind.COPY and all(size):
                self._add_needs(tags)
            largest[kind] = max(largest[kind], size, key=math.prod)
        wanted = _Kind.SENSOR if has_sensor else _Kind.PICTURE
        if has_copies and len(self._seen) == 1 and not has_sensor and _DNG not in tags:
            # The only picture of a file is not a copy of another, whatever its tag says.
            wanted = _Kind.COPY
            self._add_needs(tags)
        if all(largest[wanted]):
            return largest[wanted]
        if has_copies or has_sensor:
            message = "the TIFF describes only pictures of reduced resolution, as some raw photos do"
            raise MeasuringError(FailureCode.UNSUPPORTED_FORMAT, message)
        return None

    def _all(self) -> Iterator[_Tags]:
        """Yield the tags of all directories that matter. Chains that return to themselves end there."""
        offset = self._number_at(self._layout.offset.size, self._layout.offset)
        while table := self._directory(offset):
            tags, end = table
            yield tags
            for sub in self._sub_directories(tags):
                # Theirs are listed in the tag, not chained (DNG specification, "SubIFD trees").
                if found := self._directory(sub):
                    yield found[0]
            # Some writers end the file without the offset of a next directory.
            offset = self._number_at(end, self._layout.offset) if end < self._length else 0

    def _directory(self, offset: int) -> tuple[_Tags, int] | None:
        """Return a directory's tags that matter, and where it ends; None if it was read before, or for offset 0."""
        if not offset or offset in self._seen:
            return None
        self._seen.add(offset)
        layout = self._layout
        count = self._number_at(offset, layout.count)
        if count > _MAX_TAGS:
            raise MeasuringError(FailureCode.NOT_AN_IMAGE, f"a directory of the TIFF has {count:,} tags")
        self._steps.spend(_DIRECTORY_STEPS + count // _TAGS_PER_STEP)
        offset += layout.count.size
        table = self._read(offset, count * layout.tag.size)
        tags: dict[int, _Tag] = {}
        for tag, kind, values, value in layout.tag.iter_unpack(table):
            if tag in _READ_TAGS:
                # Of equal tags the first one counts, as in libtiff and Pillow.
                tags.setdefault(tag, _Tag(kind, values, value))
        return tags, offset + len(table)

    def _sub_directories(self, tags: _Tags) -> Iterator[int]:
        tag = tags.get(_SUB_DIRECTORIES)
        if tag is not None and tag.type in _INTEGER_FORMATS:
            for offsets in self._values(tag, tag.count):
                self._steps.spend(len(offsets))
                yield from offsets

    def _kind(self, tags: _Tags, *, is_sensor: bool) -> _Kind:
        marks = self._number(tags, _SUBFILE)
        if marks & (_REDUCED | _MASK) or self._number(tags, _OLD_SUBFILE) == _OLD_REDUCED:
            return _Kind.COPY
        if is_sensor:
            # Others are made of the sensor's picture, such as an enhanced one.
            return _Kind.COPY if marks & ~_PAGE else _Kind.SENSOR
        return _Kind.PICTURE

    def _number(self, tags: _Tags, name: int) -> int:
        """Return the only number of a tag; 0 if there is no such tag."""
        tag = tags.get(name)
        if tag is None or tag.count != 1 or tag.type not in _INTEGER_FORMATS:
            return 0
        size = _TYPE_BYTES[tag.type]
        if size > self._layout.offset.size:
            return next(self._values(tag, 1))[0]
        return int.from_bytes(tag.value[:size], self._layout.byte_order)

    def _add_needs(self, tags: _Tags) -> None:
        """Count what a picture cannot be decoded without."""
        for name in _DECODER_TAGS & tags.keys():
            tag = tags[name]
            length = _TYPE_BYTES.get(tag.type, 0) * tag.count
            if length > self._layout.offset.size:
                (start,) = self._layout.offset.unpack(tag.value)
                self.end = max(self.end, start + length)
        for offsets, lengths in _DATA_TAGS:
            if offsets in tags and lengths in tags:
                self._add_data(tags[offsets], tags[lengths])

    def _add_data(self, offsets: _Tag, lengths: _Tag) -> None:
        # Values without a counterpart are not read: nothing would bound that work.
        count = min(offsets.count, lengths.count)
        for starts, sizes in zip(self._values(offsets, count), self._values(lengths, count), strict=True):
            self.end = max(self.end, *map(operator.add, starts, sizes))

    def _values(self, tag: _Tag, count: int) -> Iterator[tuple[int, ...]]:
        """Yield a tag's first values, in blocks."""
        layout = self._layout
        letter = _INTEGER_FORMATS.get(tag.type)
        if letter is None:
            raise MeasuringError(FailureCode.NOT_AN_IMAGE, f"TIFF tag type {tag.type} is not an integer type")
        size = _TYPE_BYTES[tag.type]
        is_inline = tag.count * size <= layout.offset.size
        (offset,) = layout.offset.unpack(tag.value)
        for first in range(0, count, _BLOCK_VALUES):
            values = min(_BLOCK_VALUES, count - first)
            self._steps.spend(1 if is_inline else _READ_STEPS + values // _VALUES_PER_STEP)
            block = tag.value if is_inline else self._read(offset + first * size, values * size)
            yield struct.unpack_from(f"{layout.order}{values}{letter}", block)

    def _number_at(self, offset: int, number: struct.Struct) -> int:
        (value,) = number.unpack(self._read(offset, number.size))
        return int(value)

    def _read(self, offset: int, count: int) -> bytes:
        if offset + count > self._length:
            raise EndsEarlyError
        self._file.seek(offset, io.SEEK_SET)
        return self._file.read(count)
