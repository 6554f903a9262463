"""Makes image files: every format of the service, in any size in pixels and bytes, the same for the same seed.

The files are what cameras and sites really send: progressive pictures, turned ones, pictures followed by a video,
animations, TIFF files with their directory at either end. None of them is stored in the repository.
"""

import random
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from inspect import signature
from io import BytesIO
from itertools import accumulate
from pathlib import Path
from typing import Any, Final, TypedDict, Unpack

from PIL import Image


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
    """One file of a folder, with its size in pixels as the file holds it: an orientation does not swap them."""

    name: str
    width: int
    height: int
    format: Format
    bytes: int

    @property
    def perimeter(self) -> int:
        """What the service should measure."""
        return 2 * (self.height + self.width)


class Variant(TypedDict, total=False):
    """What only some formats have."""

    progressive: bool  # JPEG
    orientation: int  # by EXIF, 1 to 8, of a JPEG, PNG, WebP or AVIF
    trailer: int  # bytes of a video that a phone has appended to a JPEG or MPO
    frames: int  # pictures in an animated GIF, PNG, WebP or AVIF, or in an MPO, which has two or more
    lossless: bool  # WebP
    directory_first: bool  # a TIFF whose directory comes before its pixels instead of at the end of the file


def make_image(
    kind: Format | str, width: int, height: int, *, bytes_at_least: int = 0, seed: int = 0, **variant: Unpack[Variant]
) -> bytes:
    """Make an image file.

    Parameters
    ----------
    kind
        The format, or its name. A WebP is VP8 by default, VP8L when lossless, VP8X when animated, turned or padded.
    bytes_at_least
        The file is this long or a little longer: the picture holds as much noise as that takes, and where it cannot,
        the rest are bytes that the format lets everyone skip, such as JPEG comments.
    seed
        The same arguments and the same Pillow make the same bytes.

    Raises
    ------
    ValueError
        When there is no such format, or it has no such variant.
    """
    kind = Format(kind)
    make = _MAKERS[kind]
    if unknown := variant.keys() - signature(make).parameters:
        raise ValueError(f"a {kind} has no variant {min(unknown)!r}")
    return make(_Target(width, height, bytes_at_least, seed, random.Random(seed)), **variant)


def make_album(folder: Path, *, seed: int = 0) -> list[Sample]:
    """Write some two dozen files of 10 KB to some MB in JPEG, PNG, WebP, GIF, BMP and TIFF; return them by name.

    The same seed makes the same files.
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


@dataclass(frozen=True, slots=True)
class _Target:
    """The file to make; everything random in it comes from the source."""

    width: int
    height: int
    min_bytes: int
    seed: int
    source: random.Random

    def missing_bytes(self, content: bytes) -> int:
        return max(0, self.min_bytes - len(content))


# The options tell encoders to be fast. The number next to them is the fewest bytes that a pixel of noise then takes.


def _jpeg(target: _Target, *, progressive: bool = False, orientation: int | None = None, trailer: int = 0) -> bytes:
    options = {"quality": 80, "progressive": progressive, **_exif(orientation)}
    target, end = _with_trailer(target, trailer)
    return _filled(target, Format.JPEG, _pictures(target), options, 0.6, _pad_jpeg) + end


def _mpo(target: _Target, *, frames: int = 2, trailer: int = 0) -> bytes:
    target, end = _with_trailer(target, trailer)
    # The second picture is the one that the camera shows on its screen.
    pictures = _pictures(target, max(frames, 2))
    return _filled(target, Format.MPO, pictures, {"quality": 80, "save_all": True}, 0.6, _pad_end) + end


def _png(target: _Target, *, orientation: int | None = None, frames: int = 1) -> bytes:
    options = {"compress_level": 1, **_exif(orientation), **_animation(frames)}
    return _filled(target, Format.PNG, _pictures(target, frames), options, 3.0, _pad_png)


def _gif(target: _Target, *, frames: int = 1) -> bytes:
    return _filled(target, Format.GIF, _pictures(target, frames, "L"), _animation(frames), 1.3, _pad_gif)


def _bmp(target: _Target) -> bytes:
    content = _encoded(Format.BMP, _pictures(target), {})
    return _pad_bmp(content, target.missing_bytes(content), target.source)


def _webp(target: _Target, *, orientation: int | None = None, frames: int = 1, lossless: bool = False) -> bytes:
    pictures = _pictures(target, frames)
    options = {"quality": 0 if lossless else 80, "method": 0, "lossless": lossless}
    options |= _exif(orientation) | _animation(frames)

    def pad(_: bytes, size: int, source: random.Random) -> bytes:
        # Only an extended WebP may hold more than its pixels, and only the encoder can make one of another.
        return _encoded(Format.WEBP, pictures, {**options, "xmp": source.randbytes(size)})

    return _filled(target, Format.WEBP, pictures, options, 3.0 if lossless else 0.62, pad)


def _avif(target: _Target, *, orientation: int | None = None, frames: int = 1) -> bytes:
    # One thread: what several threads make of a picture may differ from run to run.
    options = {"quality": 60, "speed": 10, "max_threads": 1, **_exif(orientation), **_animation(frames)}
    return _filled(target, Format.AVIF, _pictures(target, frames), options, 0.45, _pad_avif)


def _tiff(target: _Target, *, directory_first: bool = False) -> bytes:
    """Write a TIFF of uncompressed RGB: Pillow offers no choice of where the directory goes."""
    width, height = target.width, target.height
    pixels = target.source.randbytes(width * height * 3)
    rows = max(1, 65536 // (width * 3))
    strips = [min(rows, height - row) * width * 3 for row in range(0, height, rows)]
    header_size, entries = 8, 10
    directory_size = 2 + entries * 12 + 4
    # The lists of strips and the three depths are too long for the directory; they come after it.
    extra_size = 6 + (8 * len(strips) if len(strips) > 1 else 0)
    gap = max(0, target.min_bytes - header_size - directory_size - extra_size - len(pixels))
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
        (284, short, 1, 1),  # the samples of a pixel are stored together
    ]
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4) + extra
    header = struct.pack("<2sHI", b"II", 42, directory_at)
    return header + (directory + bytes(gap) + pixels if directory_first else pixels + bytes(gap) + directory)


_MAKERS: Final[dict[Format, Callable[..., bytes]]] = {
    Format.JPEG: _jpeg,
    Format.MPO: _mpo,
    Format.PNG: _png,
    Format.GIF: _gif,
    Format.BMP: _bmp,
    Format.TIFF: _tiff,
    Format.WEBP: _webp,
    Format.AVIF: _avif,
}


def _pictures(target: _Target, count: int = 1, mode: str = "RGB") -> list[Image.Image]:
    """Paint pictures that compress well, so large pictures can also have small files."""
    small = [Image.frombytes(mode, (5, 4), target.source.randbytes(5 * 4 * len(mode))) for _ in range(count)]
    return [picture.resize((target.width, target.height), Image.Resampling.BILINEAR) for picture in small]


def _exif(orientation: int | None) -> dict[str, Any]:
    """Return Pillow's option for an orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return {"exif": exif} if orientation else {}


def _animation(frames: int) -> dict[str, Any]:
    """Return Pillow's options for several frames."""
    return {"save_all": True, "duration": 100, "loop": 0} if frames > 1 else {}


def _with_trailer(target: _Target, size: int) -> tuple[_Target, bytes]:
    """Return the target without a video of some bytes, and the video."""
    return replace(target, min_bytes=target.min_bytes - size), video(size, target.seed) if size else b""


def _encoded(kind: Format, pictures: Sequence[Image.Image], options: Mapping[str, Any]) -> bytes:
    buffer = BytesIO()
    pictures[0].save(buffer, kind.value, append_images=pictures[1:], **options)
    return buffer.getvalue()


def _filled(
    target: _Target,
    kind: Format,
    pictures: Sequence[Image.Image],
    options: Mapping[str, Any],
    bytes_per_pixel: float,
    pad: Callable[[bytes, int, random.Random], bytes],
) -> bytes:
    """Encode pictures to a file that is long enough: by noise while the pictures have room for it, then by padding."""
    content = _encoded(kind, pictures, options)
    if missing := target.missing_bytes(content):
        for picture in pictures:
            _add_noise(picture, target.source, missing / len(pictures) / bytes_per_pixel)
        content = _encoded(kind, pictures, options)
    missing = target.missing_bytes(content)
    return pad(content, missing, target.source) if missing else content


def _add_noise(picture: Image.Image, source: random.Random, pixels: float) -> None:
    """Put noise, which hardly compresses, into the upper rows: at least so many pixels, where there are as many."""
    rows = min(picture.height, -int(-pixels // picture.width))
    size = (picture.width, rows)
    picture.paste(Image.frombytes(picture.mode, size, source.randbytes(size[0] * rows * len(picture.mode))))


def _pad_jpeg(content: bytes, size: int, source: random.Random) -> bytes:
    """Put comments where the tables are, after the frame header and before the first scan."""
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


def _pad_end(content: bytes, size: int, source: random.Random) -> bytes:
    """Put bytes after the last picture: the directory counts what comes before it."""
    return content + source.randbytes(size)


def _pad_png(content: bytes, size: int, source: random.Random) -> bytes:
    """Put a private chunk before the end mark."""
    text = source.randbytes(max(0, size - 12))
    checksum = zlib.crc32(b"fiLl" + text)
    return content[:-12] + struct.pack(">I4s", len(text), b"fiLl") + text + struct.pack(">I", checksum) + content[-12:]


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
