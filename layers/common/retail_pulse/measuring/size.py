"""The size of an image from its header: pixels are never decoded, so that a decompression bomb costs nothing.

Pillow reads JPEG, PNG, GIF, BMP and TIFF from a prefix of the file. Of a WebP, AVIF or HEIC it wants the whole file;
imagesize reads those from the first kilobytes.
"""

import io
import struct
import tempfile
from collections.abc import Callable
from typing import IO

import imagesize
from PIL import BmpImagePlugin, GifImagePlugin, Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin

from retail_pulse.measuring.failures import FailureCode, MeasuringError
from retail_pulse.measuring.whole import AtLeast, EndMark, GifTrailer, IsoBoxes, MarkBehind
from retail_pulse.outcomes import Measured

# Pillow's own check refuses pictures that would be large once decoded; nothing is decoded here.
Image.MAX_IMAGE_PIXELS = None

# Enough for every signature.
_SIGNATURE_BYTES = 32
# Headers with a depth map or a large colour profile reach megabytes; the prefix grows only while the size is unknown.
_FIRST_PREFIX = 4_096
_PREFIX_GROWTH = 4
_LARGEST_PREFIX = 16 * 1024 * 1024
# A TIFF's directory may lie anywhere, mostly at the end: the file is kept, beyond this many bytes on disk.
_TIFF_MEMORY_BYTES = 256 * 1024

_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"mif1", b"msf1")
_UNSUPPORTED = (
    (b"8BPS", "PSD"),
    (b"\x00\x00\x01\x00", "ICO"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"qoif", "QOI"),
    (b"<svg", "SVG"),
)


def format_of(head: bytes) -> str:
    """Tell a file's format by its first 32 bytes.

    Raises
    ------
    MeasuringError
        `unsupported_format` for images that this service does not measure, `not_an_image` for everything else.
    """
    for signature, name in (
        (b"\xff\xd8\xff", "JPEG"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"GIF87a", "GIF"),
        (b"GIF89a", "GIF"),
        (b"BM", "BMP"),
        (b"II*\x00", "TIFF"),
        (b"MM\x00*", "TIFF"),
        (b"II+\x00", "TIFF"),
        (b"MM\x00+", "TIFF"),
    ):
        if head.startswith(signature):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp":
        if head[8:12] in (b"avif", b"avis"):
            return "AVIF"
        if head[8:12] in _HEIF_BRANDS:
            return "HEIC"
    for signature, name in _UNSUPPORTED:
        if head.lstrip()[: len(signature)] == signature or head.startswith(signature):
            raise MeasuringError(FailureCode.UNSUPPORTED_FORMAT, f"{name} is not measured")
    raise MeasuringError(FailureCode.NOT_AN_IMAGE, "the file starts like no image" if head else "the file is empty")


class SizeReader:
    """Takes a file's bytes as they come and finds its size and its end.

    Parameters
    ----------
    max_side
        Most pixels of a width or a height.

    Notes
    -----
    Memory does not grow with the file, but for the prefix of a header up to 16 MiB. Close it (or use ``with``): a TIFF
    lies in a temporary file.
    """

    def __init__(self, max_side: int) -> None:
        self._max_side = max_side
        self._prefix = bytearray()
        self._next_try = _SIGNATURE_BYTES
        self._length = 0
        self._format = ""
        self._size: tuple[int, int] | None = None
        self._end: EndMark | None = None
        self._spool: IO[bytes] | None = None

    def __enter__(self) -> "SizeReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of what is kept."""
        if self._spool is not None:
            self._spool.close()

    def feed(self, block: bytes) -> None:
        """Take the next bytes.

        Raises
        ------
        MeasuringError
            What came so far is no image, or none that is measured: the rest need not be downloaded.
        """
        self._length += len(block)
        if self._end is not None:
            self._end.feed(block)
        elif self._spool is not None:
            self._spool.write(block)
        else:
            self._prefix += block
            if len(self._prefix) >= self._next_try:
                self._look()

    def result(self) -> Measured:
        """Give the size, after the last byte.

        Raises
        ------
        MeasuringError
            The file is no image, is cut off, or is larger than allowed.
        """
        if self._size is None and self._spool is None:
            self._look(at_end=True)
        if self._spool is not None:
            self._size, self._end = _tiff(self._spool)
        if self._size is None or self._end is None or not self._end.is_whole(self._length):
            raise MeasuringError(FailureCode.TRUNCATED, f"the {self._format} ends early, after {self._length} bytes")
        width, height = self._size
        if width < 1 or height < 1:
            raise MeasuringError(FailureCode.NOT_AN_IMAGE, f"{self._format} of {width} x {height} pixels")
        if max(width, height) > self._max_side:
            raise MeasuringError(FailureCode.TOO_LARGE, f"{width} x {height} pixels, more than {self._max_side} a side")
        return Measured(self._format, width, height, self._length)

    def _look(self, *, at_end: bool = False) -> None:
        """Try to read the size from the prefix, which is then let go."""
        if not self._format:
            self._format = format_of(bytes(self._prefix[:_SIGNATURE_BYTES]))
        if self._format == "TIFF":
            self._spool = tempfile.SpooledTemporaryFile(max_size=_TIFF_MEMORY_BYTES)  # noqa: SIM115  # see close
            self._spool.write(self._prefix)
            self._prefix.clear()
            return
        if len(self._prefix) < _FIRST_PREFIX and not at_end:
            self._next_try = _FIRST_PREFIX
            return
        prefix = bytes(self._prefix)
        try:
            found = _READERS[self._format](prefix)
        except SyntaxError as error:  # what Pillow raises for a header that breaks its format's rules
            found, broken = None, error
        except (OSError, ValueError, IndexError, EOFError, struct.error, KeyError, TypeError, OverflowError):
            found, broken = (
                None,
                None,
            )  # what Pillow raises where the prefix ends too early, and on many a broken header
        if found is not None:
            self._size, self._end = found
            self._end.feed(prefix)
            self._prefix.clear()
        elif at_end and broken is not None:
            raise MeasuringError(FailureCode.NOT_AN_IMAGE, f"broken {self._format} header: {broken}")
        elif len(prefix) > _LARGEST_PREFIX:
            raise MeasuringError(FailureCode.NOT_AN_IMAGE, f"no size in the first {len(prefix)} bytes")
        self._next_try = len(prefix) * _PREFIX_GROWTH


_Found = tuple[tuple[int, int], EndMark]


def _jpeg(prefix: bytes) -> _Found:
    file = io.BytesIO(prefix)
    with JpegImagePlugin.JpegImageFile(file) as image:
        # Pillow stops behind the header of the first scan: its end mark lies beyond.
        return image.size, MarkBehind(b"\xff\xd9", file.tell())


def _png(prefix: bytes) -> _Found:
    with PngImagePlugin.PngImageFile(io.BytesIO(prefix)) as image:
        return image.size, MarkBehind(b"IEND\xaeB`\x82", 0)


def _gif(prefix: bytes) -> _Found:
    with GifImagePlugin.GifImageFile(io.BytesIO(prefix)) as image:
        return image.size, GifTrailer(prefix[:13])


def _bmp(prefix: bytes) -> _Found:
    with BmpImagePlugin.BmpImageFile(io.BytesIO(prefix)) as image:
        size = image.size
    claimed, pixels, header = struct.unpack_from("<I4xII", prefix, 2)
    if header >= 40:
        bits, compression = struct.unpack_from("<HI", prefix, 28)
        if compression in (0, 3, 6):
            # Not compressed: the rows tell more surely than the claim, which some writers leave at 0.
            claimed = pixels + (size[0] * bits + 31) // 32 * 4 * size[1]
    return size, AtLeast(claimed)


def _webp(prefix: bytes) -> _Found:
    return _imagesize(prefix), AtLeast(8 + int.from_bytes(prefix[4:8], "little"))


def _heif(prefix: bytes) -> _Found:
    return _imagesize(prefix), IsoBoxes()


def _imagesize(prefix: bytes) -> tuple[int, int]:
    width, height = imagesize.get(io.BytesIO(prefix), exif_rotation=False)
    if width < 0:
        raise ValueError("no size yet")
    return width, height


def _tiff(file: IO[bytes]) -> _Found:
    length = file.seek(0, io.SEEK_END)
    file.seek(0)
    try:
        with TiffImagePlugin.TiffImageFile(file) as image:
            tags = image.tag_v2
            # Strips or tiles (TIFF 6.0, sections 8 and 15): the end of the last one in the file.
            offsets, counts = tags.get(273) or tags.get(324) or (), tags.get(279) or tags.get(325) or ()
            ends = [offset + count for offset, count in zip(offsets, counts, strict=False)]
            return image.size, AtLeast(max(ends, default=0))
    except SyntaxError as error:
        raise MeasuringError(FailureCode.NOT_AN_IMAGE, f"broken TIFF header: {error}") from error
    except (OSError, ValueError, IndexError, EOFError, struct.error, KeyError, TypeError, OverflowError) as error:
        raise MeasuringError(FailureCode.TRUNCATED, f"the TIFF's directory is not in its {length} bytes") from error


_READERS: dict[str, Callable[[bytes], _Found]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "GIF": _gif,
    "BMP": _bmp,
    "WEBP": _webp,
    "AVIF": _heif,
    "HEIC": _heif,
}
