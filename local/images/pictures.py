"""Makes image files: every format of the service, in any size in pixels and bytes, the same for the same seed.

The files are what cameras and sites really send: progressive pictures, turned ones, pictures with a video behind them,
animations, TIFF files with their directory at either end. None of them is stored in the repository.
"""

import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from io import BytesIO
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

from PIL import Image, features

_ORIENTATION: Final = 0x0112
# Bytes that a pixel of noise costs at least, in the quality that is written here: how much noise reaches a size.
_NOISE_COSTS: Final = {"JPEG": 0.6, "MPO": 0.6, "PNG": 3.0, "GIF": 1.3, "WEBP": 0.62, "AVIF": 0.45}
_LOSSLESS_COST: Final = 3.0


class Format(StrEnum):
    """A format of image files; the value is Pillow's name for it."""

    JPEG = "JPEG"
    MPO = "MPO"
    PNG = "PNG"
    GIF = "GIF"
    BMP = "BMP"
    TIFF = "TIFF"
    WEBP = "WEBP"
    AVIF = "AVIF"


@dataclass(frozen=True, slots=True)
class Sample:
    """One file that was made.

    Parameters
    ----------
    name
        Its name in the folder.
    width, height
        Its size in pixels, as the file holds it: an orientation does not swap them.
    format
        Its format.
    bytes
        Its length.
    """

    name: str
    width: int
    height: int
    format: Format
    bytes: int

    @property
    def perimeter(self) -> int:
        """What the service is to measure."""
        return 2 * (self.height + self.width)


def can_make(kind: Format) -> bool:
    """Return whether this Pillow can write a format; AVIF is not in all of them."""
    return kind not in {Format.AVIF, Format.WEBP} or bool(features.check(kind.lower()))


def make_image(
    kind: Format | str,
    width: int,
    height: int,
    *,
    bytes_at_least: int = 0,
    seed: int = 0,
    progressive: bool = False,
    orientation: int | None = None,
    trailer: int = 0,
    frames: int = 1,
    lossless: bool = False,
    directory_first: bool = False,
) -> bytes:
    """Make an image file.

    Parameters
    ----------
    kind
        The format, or its name. A WebP is VP8 by default, VP8L when lossless, VP8X when animated, turned or padded.
    width, height
        Pixels.
    bytes_at_least
        The file is this long or a little longer: the picture holds as much noise as that takes, and where it cannot,
        the rest are bytes that the format lets everyone skip, such as JPEG comments.
    seed
        The same arguments and the same Pillow make the same bytes.
    progressive
        A progressive JPEG.
    orientation
        The EXIF orientation, 1 to 8, of a JPEG, PNG, WebP or AVIF.
    trailer
        Bytes of a video that a phone has appended to a JPEG or MPO.
    frames
        Pictures in an animated GIF, PNG, WebP or AVIF, or in an MPO, which has two or more.
    lossless
        A lossless WebP.
    directory_first
        A TIFF whose directory stands before its pixels rather than at the end of the file.

    Returns
    -------
    bytes
        The content of the file.

    Raises
    ------
    ValueError
        When there is no such format, or it has no such variant.
    """
    kind = Format(kind)
    _check_variant(
        kind,
        progressive=progressive,
        orientation=orientation is not None,
        trailer=bool(trailer),
        frames=frames != 1,
        lossless=lossless,
        directory_first=directory_first,
    )
    source = random.Random(seed)
    if kind is Format.TIFF:
        pixels = source.randbytes(width * height * 3)
        return _tiff(width, height, pixels, bytes_at_least, directory_first=directory_first)

    # An MPO has a second picture by its nature: the one that the camera shows on its screen.
    frames = max(frames, 2) if kind is Format.MPO else frames
    mode = "L" if kind is Format.GIF else "RGB"
    pictures = [_smooth_picture(source, mode, width, height) for _ in range(frames)]
    options = _options(kind, progressive=progressive, lossless=lossless)
    if orientation is not None:
        exif = Image.Exif()
        exif[_ORIENTATION] = orientation
        options["exif"] = exif
    if frames > 1:
        options |= {"save_all": True, "append_images": pictures[1:]}
        if kind is not Format.MPO:
            options |= {"duration": 100, "loop": 0}
    content = _encoded(pictures[0], kind, options)
    missing = bytes_at_least - trailer - len(content)
    if missing > 0 and kind is not Format.BMP:
        cost = _LOSSLESS_COST if lossless else _NOISE_COSTS[kind]
        for picture in pictures:
            _add_noise(picture, source, missing / frames / cost)
        content = _encoded(pictures[0], kind, options)
        missing = bytes_at_least - trailer - len(content)
    if missing > 0:
        if kind is Format.WEBP:
            # Only an extended WebP may hold more than its pixels, and only the encoder can make one of another.
            content = _encoded(pictures[0], kind, {**options, "xmp": source.randbytes(missing)})
        else:
            content = _PADDINGS[kind](content, missing, source)
    return content + video(trailer, seed) if trailer else content


def make_album(folder: Path, *, seed: int = 0) -> list[Sample]:
    """Make some two dozen files of 10 KB to some MB in JPEG, PNG, WebP, GIF, BMP and TIFF.

    Parameters
    ----------
    folder
        Where they are written; it exists.
    seed
        The same seed makes the same files.

    Returns
    -------
    list[Sample]
        The files, in the order of their names.
    """
    samples = []
    for number, (name, kind, width, height, options) in enumerate(_ALBUM):
        content = make_image(kind, width, height, seed=seed + number, **options)
        (folder / name).write_bytes(content)
        samples.append(Sample(name, width, height, kind, len(content)))
    return sorted(samples, key=lambda sample: sample.name)


def video(size: int, seed: int = 0) -> bytes:
    """Make what a phone appends to a picture that moves: an MP4 of a size, 32 bytes at least, with noise for frames."""
    kind = struct.pack(">I4s4sI4s4s", 24, b"ftyp", b"mp42", 0, b"isom", b"mp42")
    size = max(size, len(kind) + 8)
    return kind + struct.pack(">I4s", size - len(kind), b"mdat") + random.Random(seed).randbytes(size - len(kind) - 8)


_KB: Final = 1000
_ALBUM: Final[list[tuple[str, Format, int, int, dict[str, Any]]]] = [
    ("shelf-01.jpg", Format.JPEG, 320, 240, {"bytes_at_least": 10 * _KB}),
    ("shelf-02.jpg", Format.JPEG, 1280, 720, {"bytes_at_least": 100 * _KB}),
    ("shelf-03-progressive.jpg", Format.JPEG, 1024, 1024, {"bytes_at_least": 200 * _KB, "progressive": True}),
    ("shelf-04-turned.jpg", Format.JPEG, 1600, 1200, {"bytes_at_least": 400 * _KB, "orientation": 6}),
    ("shelf-05-moving.jpg", Format.JPEG, 2048, 1536, {"bytes_at_least": 1500 * _KB, "trailer": 700 * _KB}),
    ("shelf-06-large.jpg", Format.JPEG, 4000, 3000, {"bytes_at_least": 4000 * _KB}),
    ("shelf-07-narrow.jpg", Format.JPEG, 3000, 17, {"bytes_at_least": 20 * _KB}),
    ("label-01.png", Format.PNG, 200, 100, {"bytes_at_least": 10 * _KB}),
    ("label-02.png", Format.PNG, 800, 600, {"bytes_at_least": 300 * _KB}),
    ("label-03-large.png", Format.PNG, 1500, 1001, {"bytes_at_least": 2000 * _KB}),
    ("label-04-pixel.png", Format.PNG, 1, 1, {"bytes_at_least": 10 * _KB}),
    ("front-01.webp", Format.WEBP, 640, 480, {"bytes_at_least": 40 * _KB}),
    ("front-02-lossless.webp", Format.WEBP, 500, 375, {"bytes_at_least": 200 * _KB, "lossless": True}),
    ("front-03-extended.webp", Format.WEBP, 1201, 801, {"bytes_at_least": 150 * _KB, "orientation": 8}),
    ("front-04-animated.webp", Format.WEBP, 300, 301, {"bytes_at_least": 60 * _KB, "frames": 3}),
    ("front-05-large.webp", Format.WEBP, 1920, 1080, {"bytes_at_least": 1000 * _KB}),
    ("offer-01.gif", Format.GIF, 200, 150, {"bytes_at_least": 12 * _KB}),
    ("offer-02-animated.gif", Format.GIF, 320, 200, {"bytes_at_least": 150 * _KB, "frames": 4}),
    ("offer-03.gif", Format.GIF, 1024, 768, {"bytes_at_least": 800 * _KB}),
    ("plan-01.bmp", Format.BMP, 64, 64, {}),
    ("plan-02.bmp", Format.BMP, 641, 481, {}),
    ("scan-01.tiff", Format.TIFF, 100, 80, {"directory_first": True}),
    ("scan-02.tiff", Format.TIFF, 700, 500, {}),
    ("scan-03-large.tiff", Format.TIFF, 1100, 850, {}),
]

_VARIANTS: Final = {
    "progressive": {Format.JPEG},
    "orientation": {Format.JPEG, Format.PNG, Format.WEBP, Format.AVIF},
    "trailer": {Format.JPEG, Format.MPO},
    "frames": {Format.MPO, Format.GIF, Format.PNG, Format.WEBP, Format.AVIF},
    "lossless": {Format.WEBP},
    "directory_first": {Format.TIFF},
}


def _check_variant(kind: Format, **wanted: bool) -> None:
    for name, is_wanted in wanted.items():
        if is_wanted and kind not in _VARIANTS[name]:
            raise ValueError(f"a {kind} has no variant {name!r}")


def _smooth_picture(source: random.Random, mode: str, width: int, height: int) -> Image.Image:
    """Paint a picture that compresses well, so that small files of large pictures can be made too."""
    small = Image.frombytes(mode, (5, 4), source.randbytes(5 * 4 * len(mode)))
    return small.resize((width, height), Image.Resampling.BILINEAR)


def _add_noise(picture: Image.Image, source: random.Random, pixels: float) -> None:
    """Put noise, which hardly compresses, into the upper rows: at least so many pixels, where there are as many."""
    rows = min(picture.height, -int(-pixels // picture.width))
    size = (picture.width, rows)
    picture.paste(Image.frombytes(picture.mode, size, source.randbytes(size[0] * rows * len(picture.mode))))


def _options(kind: Format, *, progressive: bool, lossless: bool) -> dict[str, Any]:
    """Return Pillow's options of a format; the encoders are told to be fast rather than thorough."""
    match kind:
        case Format.JPEG | Format.MPO:
            return {"quality": 80, "progressive": progressive}
        case Format.PNG:
            return {"compress_level": 1}
        case Format.WEBP:
            return {"quality": 0 if lossless else 80, "method": 0, "lossless": lossless}
        case Format.AVIF:
            # One thread: what several make of a picture may differ from run to run.
            return {"quality": 60, "speed": 10, "max_threads": 1}
        case _:
            return {}


def _encoded(picture: Image.Image, kind: Format, options: dict[str, Any]) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, kind.value, **options)
    return buffer.getvalue()


def _tiff(width: int, height: int, pixels: bytes, bytes_at_least: int, *, directory_first: bool) -> bytes:
    """Write a TIFF of uncompressed RGB: Pillow offers no choice of where the directory goes."""
    rows = max(1, 65536 // (width * 3))
    strips = [min(rows, height - row) * width * 3 for row in range(0, height, rows)]
    header_size, entries = 8, 10
    directory_size = 2 + entries * 12 + 4
    # The lists of strips and the three depths are too long for the directory; they stand behind it.
    extra_size = 6 + (8 * len(strips) if len(strips) > 1 else 0)
    gap = max(0, bytes_at_least - header_size - directory_size - extra_size - len(pixels))
    # The directory has to start at an even offset.
    gap += (gap + len(pixels)) % 2
    if directory_first:
        directory_at, pixels_at = header_size, header_size + directory_size + extra_size + gap
    else:
        directory_at, pixels_at = header_size + len(pixels) + gap, header_size
    extra_at = directory_at + directory_size
    offsets = list(accumulate(strips[:-1], initial=pixels_at))

    short, long = 3, 4
    if len(strips) > 1:
        offsets_value, counts_value = extra_at + 6, extra_at + 6 + 4 * len(strips)
        extra = struct.pack(f"<3H{len(strips)}I{len(strips)}I", 8, 8, 8, *offsets, *strips)
    else:
        offsets_value, counts_value = offsets[0], strips[0]
        extra = struct.pack("<3H", 8, 8, 8)
    tags = [
        (256, long, 1, width),
        (257, long, 1, height),
        (258, short, 3, extra_at),  # bits of each sample
        (259, short, 1, 1),  # no compression
        (262, short, 1, 2),  # RGB
        (273, long, len(strips), offsets_value),
        (277, short, 1, 3),  # samples of each pixel
        (278, long, 1, rows),
        (279, long, len(strips), counts_value),
        (284, short, 1, 1),  # the samples of a pixel stand together
    ]
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    header = struct.pack("<2sHI", b"II", 42, directory_at)
    if directory_first:
        return header + directory + extra + bytes(gap) + pixels
    return header + pixels + bytes(gap) + directory + extra


def _pad_jpeg(content: bytes, size: int, source: random.Random) -> bytes:
    """Put comments where the tables stand, behind the frame header and before the first scan."""
    place = 2
    while content[place : place + 2] != b"\xff\xda":
        place += 2 + int.from_bytes(content[place + 2 : place + 4])
    segments = []
    while size > 0:
        # Two bytes of a segment's length count themselves.
        text = source.randbytes(max(0, min(size - 4, 65533)))
        segments.append(struct.pack(">HH", 0xFFFE, len(text) + 2) + text)
        size -= len(text) + 4
    return content[:place] + b"".join(segments) + content[place:]


def _pad_mpo(content: bytes, size: int, source: random.Random) -> bytes:
    """Put bytes behind the last picture: the directory counts what stands before it."""
    return content + source.randbytes(size)


def _pad_png(content: bytes, size: int, source: random.Random) -> bytes:
    """Put a private chunk that nobody needs before the end mark."""
    chunk = b"fiLl" + source.randbytes(max(0, size - 12))
    end = len(content) - 12
    return (
        content[:end] + struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + content[end:]
    )


def _pad_gif(content: bytes, size: int, source: random.Random) -> bytes:
    """Put a comment before the end mark, in blocks of 255 bytes at most."""
    blocks = []
    while size > 0:
        text = source.randbytes(max(1, min(size - 1, 255)))
        blocks.append(bytes([len(text)]) + text)
        size -= len(text) + 1
    return content[:-1] + b"\x21\xfe" + b"".join(blocks) + b"\0" + content[-1:]


def _pad_bmp(content: bytes, size: int, source: random.Random) -> bytes:
    """Put bytes between the header and the pixels, which it says where to find."""
    length, reserved, pixels_at = struct.unpack("<III", content[2:14])
    header = content[:2] + struct.pack("<III", length + size, reserved, pixels_at + size)
    return header + content[14:pixels_at] + source.randbytes(size) + content[pixels_at:]


def _pad_avif(content: bytes, size: int, source: random.Random) -> bytes:
    """Put a box of free space at the end."""
    size = max(size, 8)
    return content + struct.pack(">I4s", size, b"free") + source.randbytes(size - 8)


_PADDINGS: Final[dict[Format, Callable[[bytes, int, random.Random], bytes]]] = {
    Format.JPEG: _pad_jpeg,
    Format.MPO: _pad_mpo,
    Format.PNG: _pad_png,
    Format.GIF: _pad_gif,
    Format.BMP: _pad_bmp,
    Format.AVIF: _pad_avif,
}
