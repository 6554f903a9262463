"""TIFF and BigTIFF: their directories may be anywhere, mostly at the end, so the file has to be kept.

Pillow reads all values of the first directory into memory, up to the length of the file. This reader reads eight tags
of every directory; of all others it only checks where their values end.
"""

import io
import operator
import struct
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.measuring.formats.walker import Size
from retail_pulse.measuring.steps import StepBudget

# Per file, in memory; the rest is on disk.
_MEMORY_BYTES = 128 * 1024
# For all files at once. Lambda has 512 MB in /tmp.
_MAX_BUFFERED_BYTES = 384 * 1024 * 1024

# Per file, in all directories together. Real files have some hundred tags and some thousand strips.
_MAX_TAGS = 100_000
_MAX_STRIPS = 1_000_000
_MAX_DIRECTORIES = 10_000
_BLOCK_VALUES = 8_192
# What parts take, in steps of the budget: a directory, a read of values, and how many tags or values are one step.
_DIRECTORY_STEPS = 10
_READ_STEPS = 8
_TAGS_PER_STEP = 4
_VALUES_PER_STEP = 24

_WIDTH, _HEIGHT = 256, 257
# Offsets and lengths of the image data: of strips, of tiles, and of a JPEG as in TIFF 6.0.
_DATA_TAGS = ((273, 279), (324, 325), (513, 514))
_READ_TAGS = frozenset({_WIDTH, _HEIGHT}.union(*_DATA_TAGS))

_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_INTEGER_FORMATS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}


class _Budget:
    """Bounds the bytes that all readers of a process buffer together."""

    def __init__(self) -> None:
        self._reserved = 0
        self._lock = threading.Lock()

    def reserve(self, count: int) -> None:
        with self._lock:
            if self._reserved + count > _MAX_BUFFERED_BYTES:
                raise _no_space()
            self._reserved += count

    def release(self, count: int) -> None:
        with self._lock:
            self._reserved -= count


_budget = _Budget()


class TiffReader:
    """Reads a TIFF, which is complete if all directories, values, strips and tiles end within the file.

    See TIFF 6.0, sections 2, 8 and 15. Close the reader: the file is kept in a temporary one.
    """

    def __init__(self, budget: StepBudget) -> None:
        self._steps = budget
        self.size: Size | None = None
        self._reserved = 0
        self._file = tempfile.SpooledTemporaryFile(max_size=_MEMORY_BYTES)  # noqa: SIM115  # see close

    def feed(self, block: bytes) -> None:
        """Buffer the next bytes.

        Raises
        ------
        MeasuringError
            There is no space right now, because of other TIFFs.
        """
        _budget.reserve(len(block))
        self._reserved += len(block)
        try:
            self._file.write(block)
        except OSError as error:
            raise _no_space() from error

    def close(self) -> None:
        """Delete the buffered file."""
        self._file.close()
        _budget.release(self._reserved)
        self._reserved = 0

    def is_complete(self, length: int) -> bool:
        """Read the directories, with the size in the first one, and return whether the file is complete.

        Raises
        ------
        MeasuringError
            A directory is invalid, or the file has more of them than any real one.
        TimeoutError
            The thread's deadline has passed.
        """
        self._file.seek(0)
        directories = _Directories(self._file, _Layout(self._file.read(4)), length, self._steps)
        try:
            self.size = directories.read()
        except _EndsEarlyError:
            return False
        return directories.end <= length


class _EndsEarlyError(Exception):
    """Something lies beyond the end of the file."""


def _no_space() -> MeasuringError:
    message = "there is no space to buffer another TIFF right now"
    return MeasuringError(FailureCode.PROCESSING_ERROR, message, passing=True)


class _Layout:
    """The byte order, and what TIFF and BigTIFF differ in. A tag itself holds values up to the length of an offset."""

    def __init__(self, signature: bytes) -> None:
        self.order = "<" if signature[:2] == b"II" else ">"
        count, offset, tag = ("Q", "Q", "HHQ8s") if b"+" in signature else ("H", "I", "HHI4s")
        self.count = struct.Struct(self.order + count)
        self.offset = struct.Struct(self.order + offset)
        self.tag = struct.Struct(self.order + tag)


@dataclass(frozen=True, slots=True)
class _Tag:
    type: int
    count: int
    value: bytes


class _Directories:
    """Reads the chain of directories, and finds the end of everything that they refer to."""

    def __init__(
        self, file: tempfile.SpooledTemporaryFile[bytes], layout: _Layout, length: int, steps: StepBudget
    ) -> None:
        self._file = file
        self._steps = steps
        self._layout = layout
        self._length = length
        self._tags = 0
        self._strips = 0
        self.end = 0

    def read(self) -> Size | None:
        """Return the size of the first directory's image. A chain that returns to itself ends there."""
        size = None
        # After the signature of four bytes, or eight in a BigTIFF.
        offset = self._number_at(self._layout.offset.size, self._layout.offset)
        seen: set[int] = set()
        while offset and offset not in seen:
            seen.add(offset)
            if len(seen) > _MAX_DIRECTORIES:
                raise _too_many("directories", _MAX_DIRECTORIES)
            tags, offset = self._directory(offset)
            for offsets, lengths in _DATA_TAGS:
                if offsets in tags and lengths in tags:
                    self._add_data(tags[offsets], tags[lengths])
            if size is None:
                size = self._number(tags, _WIDTH), self._number(tags, _HEIGHT)
        return size

    def _directory(self, offset: int) -> tuple[Mapping[int, _Tag], int]:
        """Return a directory's tags that matter, and the offset of the next directory."""
        layout = self._layout
        count = self._number_at(offset, layout.count)
        self._tags += count
        if self._tags > _MAX_TAGS:
            raise _too_many("tags", _MAX_TAGS)
        self._steps.spend(_DIRECTORY_STEPS + count // _TAGS_PER_STEP)
        offset += layout.count.size
        table = self._read(offset, count * layout.tag.size)
        tags = {}
        for tag, kind, values, value in layout.tag.iter_unpack(table):
            length = _TYPE_BYTES.get(kind, 0) * values
            if length > layout.offset.size:
                (start,) = layout.offset.unpack(value)
                self.end = max(self.end, start + length)
            if tag in _READ_TAGS:
                tags[tag] = _Tag(kind, values, value)
        return tags, self._number_at(offset + len(table), layout.offset)

    def _number(self, tags: Mapping[int, _Tag], name: int) -> int:
        tag = tags.get(name)
        if tag is None or tag.count != 1:
            raise MeasuringError(FailureCode.NOT_AN_IMAGE, f"TIFF tag {name} is missing or is not a single number")
        return next(self._values(tag, 1))[0]

    def _add_data(self, offsets: _Tag, lengths: _Tag) -> None:
        # Values without a counterpart are not read: nothing would bound that work.
        count = min(offsets.count, lengths.count)
        self._strips += count
        if self._strips > _MAX_STRIPS:
            raise _too_many("strips or tiles", _MAX_STRIPS)
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
            raise _EndsEarlyError
        self._file.seek(offset, io.SEEK_SET)
        return self._file.read(count)


def _too_many(what: str, limit: int) -> MeasuringError:
    return MeasuringError(FailureCode.NOT_AN_IMAGE, f"the TIFF has more than {limit:,} {what}")
