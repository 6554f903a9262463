"""The size of an image from its header. Pixels are not decoded, so decompression bombs have no effect.

Each common format has a reader that walks through the file as it arrives. Pillow and imagesize need a prefix of the
file, retried until it includes the size: 16 MB for a JPEG with as many comments, 64 MB of decompressed texts for a PNG.
Other raster formats are buffered, and Pillow reads their headers.
"""

import struct
from collections.abc import Callable
from functools import partial

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.domain.outcomes import Measured
from retail_pulse.measuring.formats.bmp import bmp_reader
from retail_pulse.measuring.formats.gif import GifReader
from retail_pulse.measuring.formats.heif import IsoReader
from retail_pulse.measuring.formats.ico import IcoReader
from retail_pulse.measuring.formats.jpeg import JpegReader
from retail_pulse.measuring.formats.pillow_reader import PillowReader, pillow_format
from retail_pulse.measuring.formats.pixels import PixelCheck
from retail_pulse.measuring.formats.png import PngReader
from retail_pulse.measuring.formats.spool import Spool
from retail_pulse.measuring.formats.svg import SvgReader, may_be_svg
from retail_pulse.measuring.formats.tiff import TiffReader
from retail_pulse.measuring.formats.walker import Block, FormatReader
from retail_pulse.measuring.formats.webp import webp_reader
from retail_pulse.measuring.steps import StepBudget

# Enough for every signature, and for headers at fixed offsets.
_HEAD_BYTES = 64

_SIGNATURES = {
    "JPEG": (b"\xff\xd8\xff",),
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "GIF": (b"GIF87a", b"GIF89a"),
    "BMP": (b"BM",),
    "TIFF": (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"),
}
_UNSUPPORTED = {
    "EPS": (b"%!PS", b"\xc5\xd0\xd3\xc6"),
    "JPEG XL": (b"\x00\x00\x00\x0cJXL ", b"\xff\x0a"),
    "PDF": (b"%PDF-",),
    "WMF": (b"\xd7\xcd\xc6\x9a", b"\x01\x00\x09\x00\x00\x03"),
    # Raw photos; those that are TIFFs are refused by their reader, unless it finds their size.
    "CR3": (b"\x00\x00\x00\x18ftypcrx ",),
    "CRW": (b"II\x1a\x00\x00\x00HEAPCCDR",),
    "MRW": (b"\x00MRM",),
    "ORF": (b"IIRO", b"IIRS", b"MMOR"),
    "RAF": (b"FUJIFILMCCD-RAW",),
    "RW2": (b"IIU\x00",),
    "X3F": (b"FOVb",),
}


def format_of(head: bytes) -> str:
    """Return the format of a file with these first 64 bytes; HEIF is AVIF or HEIC.

    Raises
    ------
    MeasuringError
        `unsupported_format` for images of other formats, `not_an_image` for all other files.
    """
    # CR3, a raw photo of Canon's, is such a file too.
    if head[4:8] == b"ftyp" and head[8:12] != b"crx ":
        return "HEIF"
    for name, signatures in _SIGNATURES.items():
        if head.startswith(signatures):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if other := pillow_format(head):
        return other
    if head[40:44] == b" EMF":
        raise MeasuringError(FailureCode.UNSUPPORTED_FORMAT, "EMF is not supported")
    for name, signatures in _UNSUPPORTED.items():
        if head.startswith(signatures):
            raise MeasuringError(FailureCode.UNSUPPORTED_FORMAT, f"{name} is not supported")
    if may_be_svg(head):
        return "SVG"
    raise MeasuringError(FailureCode.NOT_AN_IMAGE, "not a recognized image format" if head else "the file is empty")


class SizeReader:
    """Reads a file as it arrives, and finds the image's size and whether the file is complete.

    Parameters
    ----------
    max_side
        Maximum width and height in pixels.
    budget
        What the steps are counted on, told of the bytes that were sent. By default, these are the bytes of the file.
    pixels
        Decodes the picture as well; None to decode nothing.
    client
        Whose picture it is.

    Notes
    -----
    Memory does not grow with the file. Use ``with``, which deletes the temporary file of a format that needs one.
    """

    def __init__(
        self, max_side: int, budget: StepBudget | None = None, pixels: PixelCheck | None = None, client: str = ""
    ) -> None:
        self._max_side = max_side
        self._budget = budget or StepBudget()
        self._is_sent_as_it_is = budget is None
        self._pixels = pixels
        self._client = client
        self._head = bytearray()
        self._length = 0
        self._format = ""
        self._reader: FormatReader | None = None
        # For the check of the pixels, unless the reader keeps the file in any case.
        self._copy: Spool | None = None

    def __enter__(self) -> "SizeReader":
        return self

    def __exit__(self, *_: object) -> None:
        for spool in (self._reader, self._copy):
            if isinstance(spool, Spool):
                spool.close()

    def feed(self, block: Block) -> None:
        """Read the next bytes.

        Raises
        ------
        MeasuringError
            The file is not an image of a supported format: the rest need not be downloaded.
        TimeoutError
            The thread's deadline has passed.
        """
        self._length += len(block)
        if self._is_sent_as_it_is:
            self._budget.received(len(block))
        if self._reader is not None:
            self._read(block)
            return
        if self._head:
            self._head += block
            block = bytes(self._head)
        if len(block) < _HEAD_BYTES:
            self._head = bytearray(block)
        else:
            self._start(block)

    def result(self) -> Measured:
        """Return the size, after the last byte.

        Raises
        ------
        MeasuringError
            The file is not an image, is incomplete or damaged, or has more pixels than allowed.
        TimeoutError
            The thread's deadline has passed.
        """
        if self._reader is None:
            self._start(bytes(self._head))
        is_complete = self._reader is not None and self._reader.is_complete(self._length)
        if isinstance(self._reader, IsoReader):
            self._format = self._reader.format
        if self._reader is None or not is_complete:
            message = f"the {self._format} is incomplete: it ends after {self._length:,} bytes"
            raise MeasuringError(FailureCode.TRUNCATED, message)
        if self._reader.size is None:
            raise MeasuringError(FailureCode.NOT_AN_IMAGE, f"the {self._format} does not contain an image with a size")
        width, height = self._reader.size
        if width < 1 or height < 1:
            message = f"the {self._format} has an invalid size: {width:,} x {height:,} pixels"
            raise MeasuringError(FailureCode.NOT_AN_IMAGE, message)
        if max(width, height) > self._max_side:
            message = f"the image has {width:,} x {height:,} pixels; the limit is {self._max_side:,} per side"
            raise MeasuringError(FailureCode.TOO_LARGE, message)
        spool = self._copy or self._reader
        if self._pixels is not None and isinstance(spool, Spool):
            self._pixels.check(spool.rewind(), self._format)
        return Measured(self._format, width, height, self._length)

    def _start(self, data: Block) -> None:
        """Choose the reader. There is none while the file ends within its header."""
        head = bytes(data[:_HEAD_BYTES])
        self._format = format_of(head)
        reader = _READERS.get(self._format) or partial(PillowReader, self._format)
        try:
            self._reader = reader(head, self._budget)
        except (struct.error, IndexError):
            return
        self._head.clear()
        if self._pixels is not None and self._pixels.reads(self._format) and not isinstance(self._reader, Spool):
            self._copy = Spool()
        for spool in (self._reader, self._copy):
            if isinstance(spool, Spool):
                spool.client = self._client
        self._read(data)

    def _read(self, block: Block) -> None:
        if self._reader is not None:
            self._reader.feed(block)
        if self._copy is not None:
            self._copy.feed(block)


# Each gets the first 64 bytes, or all of a shorter file. It raises `struct.error` or `IndexError` if its header is cut.
_READERS: dict[str, Callable[[bytes, StepBudget], FormatReader]] = {
    "JPEG": lambda _, budget: JpegReader(budget),
    "PNG": PngReader,
    "GIF": GifReader,
    "BMP": lambda head, _: bmp_reader(head),
    "TIFF": TiffReader,
    "WEBP": lambda head, _: webp_reader(head),
    "HEIF": IsoReader,
    "SVG": SvgReader,
    "ICO": lambda *_: IcoReader(),
    "CUR": lambda *_: IcoReader(),
}
