"""All other raster formats, by Pillow: it reads the header of a buffered file and decodes no pixel.

Pillow's readers of headers trust the file: they loop as often and read as much as it says. So they get a file that
bounds both, one at a time. Left out are formats without a signature, formats for which Pillow runs a program or decodes
pixels to find the size, and those of which it finds only a preview.
"""

import importlib
import io
import re
import threading
from typing import IO, Any

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.measuring.deadline import held
from retail_pulse.measuring.formats import jpeg2000
from retail_pulse.measuring.formats.spool import Spool
from retail_pulse.measuring.formats.walker import Size
from retail_pulse.measuring.steps import StepBudget

# How files begin, by Pillow's name of the format; 64 bytes are known, or all of a shorter file. Texts and web pages
# must not match, or they would be downloaded and buffered as a whole.
_SIGNATURES = {
    "BLP": rb"BLP[12][\0\x01]\0\0\0",
    # These two are read by `IcoReader`.
    "ICO": rb"\0\0\x01\0(?!\0\0)..",
    "CUR": rb"\0\0\x02\0(?!\0\0)..",
    "DCX": rb"\xb1\x68\xde\x3a",
    "DDS": rb"DDS \x7c\0\0\0",
    "FITS": rb"SIMPLE  = +T",
    "FLI": rb".{4}[\x11\x12]\xaf.{8}[\0\x03]\0.{4}\0\0.{20}\0{22}",
    "FTEX": rb"FTEX.{3}\0",
    "GBR": rb".{4}\0\0\0\x02.{12}GIMP",
    "ICNS": rb"icns[\0-\x1f]",
    "JPEG2000": rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  \r\n\x87\n",
    "MCIDAS": rb"\0{7}\x04",
    "MSP": rb"DanM|Lin[S]",
    "PCX": rb"\n[\0\x02\x03\x05][\0\x01][\x01\x02\x04\x08]",
    "PIXAR": rb"\x80\xe8\0\0",
    "PPM": rb"P[1-6f]\s+(#|\d+\s+(#|\d+\s))",
    "PSD": rb"8BPS\0",
    "QOI": rb"qoif.{8}[\x03\x04]",
    "SGI": rb"\x01\xda[\0\x01][\x01\x02]",
    "SUN": rb"\x59\xa6\x6a\x95",
    # It has no signature: types, sides, bits per pixel and flags of what Pillow decodes.
    "TGA": (
        rb"(.\x01[\x01\x09].{4}[\x10\x18\x20].{4}(?!\0\0)..(?!\0\0)..\x08"
        rb"|.[\0\x01][\x02\x0a].{9}(?!\0\0)..(?!\0\0)..[\x10\x18\x20]"
        rb"|.[\0\x01][\x03\x0b].{9}(?!\0\0)..(?!\0\0)..[\x08\x10])[\0-\x3f]"
    ),
    "XBM": rb"\s*(/\*.*?\*/\s*)?#define[ \t]+\w*(width|height)[ \t]+\d",
    "XPM": rb"/\* XPM \*/",
}
# These look for what a complete file may lack: padding, a palette at the end.
_READ_BEYOND = frozenset({"DCX", "PCX", "PSD"})
# With these, a file may well be something else, as long as its header makes no sense.
_WEAK = frozenset({"PCX", "PPM", "TGA", "XBM"})

# A PSD's header contains its metadata, an FTEX's all pixels; others have colour profiles of a few MB.
_HEADER_BYTES = 32 * 1024 * 1024
# Pillow walks through the boxes of this header in memory, where nothing counts its steps.
_BOXES_BYTES = 3 * 1024 * 1024
# A line of text without an end.
_LINE_BYTES = 1024 * 1024
# A read by Pillow takes as long as so many steps of the budget.
_READ_STEPS = 4

# Bits per pixel of uncompressed rows, by Pillow's raw mode: 8 for all others.
_BITS = {
    "1": 1, "1;I": 1, "L;4": 4, "P;4": 4, "LA": 16, "I;16B": 16, "BGRA;15Z": 16, "RGB": 24, "BGR": 24, "RGBA": 32,
    "BGRA": 32, "RGBX": 32, "BGRX": 32, "I;32B": 32, "F;32F": 32, "F;32BF": 32, "F;64BF": 64,
}  # fmt: skip

# What ends the pixels of a complete file, near its end.
_END_MARKS = {"QOI": b"\0\0\0\0\0\0\0\x01", "XBM": b"}", "XPM": b"}"}
_TAIL_BYTES = 4096

_turn = threading.Lock()


def pillow_format(head: bytes) -> str | None:
    """Return the format of a file that starts with these bytes, if Pillow reads its header; None otherwise."""
    # Compiled at the first file that needs it, and then kept by `re`.
    return next((name for name, pattern in _SIGNATURES.items() if re.match(pattern, head, re.DOTALL)), None)


class PillowReader(Spool):
    """Reads a file of one of these formats, of which Pillow knows the size.

    Many of them do not say where they end. A file counts as complete if its header is, its pixels begin within it, and
    what is known of their end lies within it: uncompressed rows, blocks of textures, lengths of parts, an end mark.
    """

    def __init__(self, name: str, _head: bytes, budget: StepBudget) -> None:
        super().__init__()
        self._steps = budget
        self.size: Size | None = None
        self._name = name

    def is_complete(self, length: int) -> bool:
        """Read the header with Pillow, and return whether the file is complete as far as that is known.

        Raises
        ------
        MeasuringError
            Pillow does not read the file, or its header has more parts or bytes than any real one.
        TimeoutError
            The thread's deadline has passed.
        """
        max_bytes = _BOXES_BYTES if self._name == "JPEG2000" else _HEADER_BYTES
        file = _HeaderFile(self.rewind(), length, max_bytes, self._steps)
        # Each takes little time, but some take 32 MB.
        with held(_turn):
            try:
                with _opened(file, self._name) as image:
                    self.size = image.size
                    end = _end_of_pixels(image)
                    # An FTEX's pixels are in memory by now.
                    available = length if image.fp is file else image.fp.seek(0, io.SEEK_END)
            except (MeasuringError, TimeoutError, MemoryError):
                raise
            # Pillow raises errors of many kinds on a broken header.
            except Exception as error:
                if file.ended_early:
                    return False
                code = FailureCode.NOT_AN_IMAGE if self._name in _WEAK else FailureCode.UNSUPPORTED_FORMAT
                raise MeasuringError(
                    code, f"the header of the {self._name} is invalid or of an unknown kind"
                ) from error
        if file.ended_early and self._name not in _READ_BEYOND:
            return False
        return end <= available and self._has_end(length)

    def _has_end(self, length: int) -> bool:
        if self._name == "JPEG2000":
            return jpeg2000.is_complete(self._file, length, self._steps)
        self._file.seek(max(0, length - _TAIL_BYTES))
        return _END_MARKS.get(self._name, b"") in self._file.read()


class _HeaderFile:
    """A file for Pillow that bounds how often and how much it reads."""

    def __init__(self, file: IO[bytes], length: int, max_bytes: int, budget: StepBudget) -> None:
        self._file = file
        self._length = length
        self._bytes_left = max_bytes
        self._steps = budget
        self.ended_early = False
        self.tell = file.tell

    def read(self, count: int = -1) -> bytes:
        at = self._file.tell()
        left = max(0, self._length - at)
        # Pillow's first read is for signatures, and longer than some files.
        self.ended_early |= count > left and (at, count) != (0, 16)
        # A read of a file on disk would allocate all of a count.
        count = min(count, left) if count >= 0 else left
        self._take(count)
        return self._file.read(count)

    def readline(self, count: int = -1) -> bytes:
        count = min(count, _LINE_BYTES) if count >= 0 else _LINE_BYTES
        line = self._file.readline(count)
        self._take(len(line))
        self.ended_early |= len(line) < count and not line.endswith(b"\n")
        return line

    def seek(self, offset: int, whence: int = 0) -> int:
        self._take(0)
        return self._file.seek(offset, whence)

    def close(self) -> None:
        """Do nothing: some of Pillow's readers close a file that they have read."""

    def _take(self, count: int) -> None:
        self._steps.spend(_READ_STEPS)
        self._bytes_left -= count
        if self._bytes_left < 0:
            raise MeasuringError(FailureCode.NOT_AN_IMAGE, "the header is longer than that of any real image")


_PLUGINS = {"JPEG2000": "Jpeg2K", "MCIDAS": "McIdas"}


def _opened(file: Any, name: str) -> Any:
    """Open a file as one format with Pillow. The first file imports Pillow, and the first of a format its plugin."""
    from PIL import Image

    importlib.import_module(f"PIL.{_PLUGINS.get(name, name.capitalize())}ImagePlugin")
    # This limit is about decoding, which does not happen here.
    Image.MAX_IMAGE_PIXELS = None
    return Image.open(file, formats=[name])


def _end_of_pixels(image: Any) -> int:
    """Return where the pixels end, or the least that is known of it."""
    if image.format == "ICNS":
        # Pillow has passed over all parts.
        return int(image.fp.tell())
    return max((_end_of_tile(image.fp.tell(), *tile) for tile in image.tile), default=0)


def _end_of_tile(end_of_header: int, codec: str, extents: tuple[int, int, int, int], offset: int, args: Any) -> int:
    width, height = extents[2] - extents[0], extents[3] - extents[1]
    first, second = (*args, 0, 0)[:2] if isinstance(args, tuple) else (args, 0)
    start = offset or end_of_header
    if codec == "packbits":
        # Pillow has passed over all channels of a PSD.
        return end_of_header
    if codec == "bcn":
        return start + -(-width // 4) * -(-height // 4) * (8 if first in (1, 4) else 16)
    if codec == "raw":
        row = (width * _BITS.get(first, 8) + 7) // 8
        return int(start + (second or row) * (height - 1) + row)
    if codec == "ppm":
        return start + width * height * _BITS.get(first, 8) // 8 * (1 if second < 256 else 2)
    if codec == "dds_rgb":
        return int(start + width * height * first // 8)
    return start + 1
