"""TIFF and BigTIFF: directories that may lie anywhere, mostly at the end, so that the file has to be kept.

Pillow reads the values of every tag of the first directory into memory, up to the length of the file. This reader looks
at eight tags of every directory, and at where the values of the others end.
"""

import io
import operator
import struct
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.measuring.deadline import seconds_left
from retail_pulse.measuring.formats.walker import Size

# What is kept of a file in memory; beyond it lies on disk.
_MEMORY_BYTES = 128 * 1024
# Lambda has 512 MB in /tmp.
_MAX_KEPT_BYTES = 384 * 1024 * 1024

# In all directories together; real files have some hundred tags and some thousand strips.
_MAX_TAGS = 100_000
_MAX_STRIPS = 1_000_000
_MAX_DIRECTORIES = 10_000
_BLOCK_VALUES = 8_192

_WIDTH, _HEIGHT = 256, 257
# Where parts lie, and how long they are: strips, tiles, a JPEG of TIFF 6.0.
_PARTS = ((273, 279), (324, 325), (513, 514))
_READ_TAGS = frozenset({_WIDTH, _HEIGHT}.union(*_PARTS))

_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_WHOLE_NUMBERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}


class KeptBytes:
    """Counts what all readers of a process keep.

    Parameters
    ----------
    most
        Bytes at most.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept = 0
        self._lock = threading.Lock()

    def take(self, count: int) -> bool:
        """Count some more, unless that is too many."""
        with self._lock:
            if self._kept + count > self._most:
                return False
            self._kept += count
            return True

    def give(self, count: int) -> None:
        """Count some less."""
        with self._lock:
            self._kept -= count


_kept_by_all = KeptBytes(_MAX_KEPT_BYTES)


class TiffReader:
    """Whole when all directories, their values, strips and tiles end within the file (TIFF 6.0, sections 2, 8 and 15).

    Parameters
    ----------
    kept
        What all readers keep together.

    Notes
    -----
    Close it: the file lies in a temporary one.
    """

    def __init__(self, kept: KeptBytes = _kept_by_all) -> None:
        self.size: Size | None = None
        self._kept_by_all = kept
        self._kept = 0
        self._file = tempfile.SpooledTemporaryFile(max_size=_MEMORY_BYTES)  # noqa: SIM115  # see close

    def feed(self, block: bytes) -> None:
        """Keep the next bytes.

        Raises
        ------
        MeasuringError
            Other TIFFs take all the room at this moment.
        """
        if not self._kept_by_all.take(len(block)):
            raise _no_room()
        self._kept += len(block)
        try:
            self._file.write(block)
        except OSError as error:
            raise _no_room() from error

    def close(self) -> None:
        """Let go of what is kept."""
        self._file.close()
        self._kept_by_all.give(self._kept)
        self._kept = 0

    def is_whole(self, length: int) -> bool:
        """Read the directories, and the size with the first of them.

        Raises
        ------
        MeasuringError
            The directories break the rules, or there are more of them than in any real file.
        TimeoutError
            The thread's deadline has passed: nothing of this is read while the bytes come.
        """
        self._file.seek(0)
        try:
            layout, place = _layout(self._file.read(16))
            directories = _Directories(self._file, layout, length)
            self.size = directories.read(place)
        except _EndsEarlyError:
            return False
        return directories.end <= length


class _EndsEarlyError(Exception):
    """Something lies beyond the end of the file."""


def _no_room() -> MeasuringError:
    message = "there is no space to buffer another TIFF right now"
    return MeasuringError(FailureCode.PROCESSING_ERROR, message, passing=True)


@dataclass(frozen=True, slots=True)
class _Layout:
    order: str
    count: str
    offset: str
    entry: str
    inline: int


def _layout(head: bytes) -> tuple[_Layout, int]:
    """Return how the file is laid out, and where its first directory is."""
    order = "<" if head[:2] == b"II" else ">"
    is_big = struct.unpack_from(order + "H", head, 2)[0] == 43
    layout = _Layout(order, "Q", "Q", "HHQ8s", 8) if is_big else _Layout(order, "H", "I", "HHI4s", 4)
    try:
        return layout, struct.unpack_from(order + layout.offset, head, 8 if is_big else 4)[0]
    except struct.error as error:
        raise _EndsEarlyError from error


@dataclass(frozen=True, slots=True)
class _Tag:
    type: int
    count: int
    value: bytes


class _Directories:
    def __init__(self, file: tempfile.SpooledTemporaryFile[bytes], layout: _Layout, length: int) -> None:
        self._file = file
        self._layout = layout
        self._length = length
        self._tags = 0
        self._strips = 0
        self.end = 0

    def read(self, place: int) -> Size | None:
        """Return the size of the first directory's picture; a chain that comes back to itself ends there."""
        size = None
        seen: set[int] = set()
        while place and place not in seen:
            seconds_left()
            seen.add(place)
            if len(seen) > _MAX_DIRECTORIES:
                raise _too_many("directories", _MAX_DIRECTORIES)
            tags, place = self._directory(place)
            for offsets, counts in _PARTS:
                if offsets in tags and counts in tags:
                    self._parts(tags[offsets], tags[counts])
            if size is None:
                size = self._number(tags, _WIDTH), self._number(tags, _HEIGHT)
        return size

    def _directory(self, place: int) -> tuple[Mapping[int, _Tag], int]:
        layout = self._layout
        (count,) = self._unpack(place, layout.order + layout.count)
        self._tags += count
        if self._tags > _MAX_TAGS:
            raise _too_many("tags", _MAX_TAGS)
        place += struct.calcsize(layout.order + layout.count)
        entry = layout.order + layout.entry
        size = struct.calcsize(entry)
        table = self._bytes(place, count * size)
        tags = {}
        for tag, kind, values, value in struct.iter_unpack(entry, table):
            length = _TYPE_BYTES.get(kind, 0) * values
            if length > layout.inline:
                (offset,) = struct.unpack(layout.order + layout.offset, value)
                self.end = max(self.end, offset + length)
            if tag in _READ_TAGS:
                tags[tag] = _Tag(kind, values, value)
        (following,) = self._unpack(place + len(table), layout.order + layout.offset)
        return tags, following

    def _number(self, tags: Mapping[int, _Tag], name: int) -> int:
        tag = tags.get(name)
        if tag is None or tag.count != 1:
            raise MeasuringError(FailureCode.NOT_AN_IMAGE, f"TIFF tag {name} is missing or is not a single number")
        return next(self._values(tag, 1))[0]

    def _parts(self, offsets: _Tag, counts: _Tag) -> None:
        # What has no counterpart is not read: it would be work that nothing counts.
        count = min(offsets.count, counts.count)
        self._strips += count
        if self._strips > _MAX_STRIPS:
            raise _too_many("strips or tiles", _MAX_STRIPS)
        for starts, lengths in zip(self._values(offsets, count), self._values(counts, count), strict=True):
            self.end = max(self.end, *map(operator.add, starts, lengths))

    def _values(self, tag: _Tag, most: int) -> Iterator[tuple[int, ...]]:
        """Yield a tag's first numbers, some thousand at once."""
        layout = self._layout
        letter = _WHOLE_NUMBERS.get(tag.type)
        if letter is None:
            raise MeasuringError(FailureCode.NOT_AN_IMAGE, f"TIFF tag type {tag.type} is not an integer type")
        size = _TYPE_BYTES[tag.type]
        is_inline = tag.count * size <= layout.inline
        (place,) = (0,) if is_inline else struct.unpack(layout.order + layout.offset, tag.value)
        for first in range(0, most, _BLOCK_VALUES):
            seconds_left()
            how = f"{layout.order}{min(_BLOCK_VALUES, most - first)}{letter}"
            yield struct.unpack_from(how, tag.value) if is_inline else self._unpack(place + first * size, how)

    def _unpack(self, place: int, how: str) -> tuple[int, ...]:
        return struct.unpack(how, self._bytes(place, struct.calcsize(how)))

    def _bytes(self, place: int, count: int) -> bytes:
        if place + count > self._length:
            raise _EndsEarlyError
        self._file.seek(place, io.SEEK_SET)
        return self._file.read(count)


def _too_many(what: str, most: int) -> MeasuringError:
    return MeasuringError(FailureCode.NOT_AN_IMAGE, f"the TIFF has more than {most:,} {what}")
