"""Compares the readers with Pillow, which reads headers or decodes pixels, and measures what `PixelCheck` costs."""

import io
import random
import re
import time
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from PIL import Image

from benchmarks.harness.processes import run_in_new_process
from benchmarks.harness.report import Figure, Section, Settings, Table, interleaved
from benchmarks.world.served_images import pictures
from retail_pulse.domain.failures import MeasuringError
from retail_pulse.measuring.formats import decoding
from retail_pulse.measuring.formats.pixels import PixelCheck
from retail_pulse.measuring.formats.size import SizeReader
from tests.measuring.corpus import corpus

_MEGABYTES = 384
_BLOCK = 128 * 1024
_PARTS = (0.5, 0.9, 0.99)
_ZEROS = 64
# Of the pictures whose decoding takes memory.
_SIDE = 2_000
# More than any picture here needs.
_MAX_BYTES = 10**9
# Formats, and Pillow's options for the variant whose decoder has the highest peak of memory.
_FORMATS: Mapping[str, tuple[str, str, dict[str, object]]] = {
    "JPEG, progressive": ("JPEG", "RGB", {"progressive": True, "subsampling": 0, "quality": 85}),
    "PNG": ("PNG", "RGBA", {"compress_level": 1}),
    "GIF": ("GIF", "P", {}),
    "BMP": ("BMP", "RGB", {}),
    "TIFF, LZW": ("TIFF", "RGB", {"compression": "tiff_lzw"}),
    "TIFF, Deflate": ("TIFF", "RGB", {"compression": "tiff_adobe_deflate"}),
    "WebP": ("WEBP", "RGB", {"method": 0}),
    "WebP, lossless": ("WEBP", "RGBA", {"lossless": True, "method": 0, "quality": 0}),
    "AVIF": ("AVIF", "RGBA", {"speed": 10}),
    "JPEG 2000": ("JPEG2000", "RGBA", {}),
    "TGA, run lengths": ("TGA", "RGB", {"compression": "tga_rle"}),
    "PCX": ("PCX", "RGB", {}),
    "SGI": ("SGI", "RGB", {}),
}


def measure(settings: Settings) -> Section:
    """Measure cuts, CPU time, damage and memory."""
    cut, missed = _cuts()
    peaks = {
        name: run_in_new_process(_peak, kind, _picture(name, 80), _picture(name, _SIDE))
        for name, (kind, _, _) in _FORMATS.items()
    }
    allowed = {name: decoding.pixel_bytes(kind) for name, (kind, _, _) in _FORMATS.items()}
    check = PixelCheck(_MEGABYTES)
    try:
        times = [_cpu_times(size, name, check, settings) for size, name in ((100_000, "100 KB"), (1_000_000, "1 MB"))]
        damage = [_damage(name, check, 20 if settings.quick else 100) for name in _FORMATS]
    finally:
        check.close()
    return Section(
        "The readers next to Pillow",
        f"Each file of the corpus that Pillow reads is cut to {', '.join(f'{part:.0%}' for part in _PARTS)} of its "
        "image. CPU times are medians per image, of JPEG, PNG and WebP in memory, without a download; that of "
        "`PixelCheck` is the sum of both processes. Pictures of 400 x 400 pixels are damaged somewhere in their last "
        f"nine tenths: one byte is changed, or {_ZEROS} become zero. Memory is that of a decoder at its peak, for a "
        "picture of 4 million pixels of noise.",
        [
            Figure(f"truncated files that the readers miss, of {cut}", missed["the readers"], 0),
            Figure(
                "memory of a decoder, of what PixelCheck allows for it", max(peaks[n] / allowed[n] for n in peaks), 1
            ),
        ],
        [
            Table("Truncated files missed", ("way", f"of {cut}"), [[way, f"{n}"] for way, n in missed.items()], True),
            Table("CPU time per image (ms)", ("image", *missed, "the readers and `PixelCheck`"), times, True),
            Table(
                "Damaged pictures that `PixelCheck` notices", ("format", "one byte", f"{_ZEROS} bytes"), damage, True
            ),
            Table(
                "Memory of decoders (bytes per pixel)",
                ("format", "peak", "allowed"),
                [[name, f"{peak:.1f}", f"{allowed[name]}"] for name, peak in peaks.items()],
                True,
            ),
        ],
    )


def _read(content: bytes, check: PixelCheck | None = None) -> None:
    with SizeReader(100_000, pixels=check) as reader:
        for start in range(0, len(content), _BLOCK):
            reader.feed(content[start : start + _BLOCK])
        reader.result()


def _open(content: bytes) -> None:
    with Image.open(io.BytesIO(content)):
        pass


def _load(content: bytes) -> None:
    with Image.open(io.BytesIO(content)) as image:
        image.load()


_WAYS: Mapping[str, Callable[[bytes], None]] = {
    "the readers": _read,
    "Pillow, headers": _open,
    "Pillow, pixels": _load,
}


def _accepts(way: Callable[[bytes], None], content: bytes) -> bool:
    try:
        with warnings.catch_warnings(action="ignore"):
            way(content)
    except Exception:  # noqa: BLE001  # Pillow raises errors of many kinds
        return False
    return True


def _cuts() -> tuple[int, dict[str, int]]:
    """Return the number of cut files, and how many of them each way misses."""
    whole = [file.content[: file.whole_bytes] for file in corpus() if _accepts(_load, file.content)]
    cut = [content[: int(part * len(content))] for content in whole for part in _PARTS]
    return len(cut), {name: sum(_accepts(way, content) for content in cut) for name, way in _WAYS.items()}


def _cpu_times(size: int, name: str, check: PixelCheck, settings: Settings) -> list[str]:
    images = pictures(size) * (10_000_000 // size // 4)

    def milliseconds(call: Callable[[bytes], object]) -> float:
        begin = time.process_time()
        for content in images:
            call(content)
        return 1000 * (time.process_time() - begin) / len(images)

    ways: dict[str, Callable[[bytes], object]] = {**_WAYS, "ours": partial(_read, check=check), "theirs": _decode}
    taken = interleaved({way: partial(milliseconds, call) for way, call in ways.items()}, 3 if settings.quick else 9)
    return [name, *(f"{taken[way]:.2f}" for way in _WAYS), f"{taken['ours'] + taken['theirs']:.2f}"]


def _decode(content: bytes) -> bool:
    """Do what the process of `PixelCheck` does."""
    kinds = {b"\xff\xd8": "JPEG", b"\x89P": "PNG", b"RI": "WEBP"}
    return decoding.is_damaged(io.BytesIO(content), kinds[content[:2]], _MAX_BYTES)


def _picture(name: str, side: int) -> bytes:
    kind, mode, options = _FORMATS[name]
    noise = Image.effect_noise((side // 4, side // 4), 60).resize((side, side))
    image = Image.merge("RGB", (noise, noise.rotate(90), noise.rotate(180))).convert(mode)
    if mode == "RGBA":
        image.putalpha(noise)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _damage(name: str, check: PixelCheck, count: int) -> list[str]:
    """Return how many damaged pictures are noticed: with another byte, and with zeros."""
    content, generator = _picture(name, 400), random.Random(1)
    noticed = [0, 0]
    for _ in range(count):
        at = generator.randrange(len(content) // 10, len(content) - _ZEROS - 40)
        other = bytes([content[at] ^ generator.randrange(1, 256)])
        for number, part in enumerate((other, bytes(_ZEROS))):
            try:
                _read(content[:at] + part + content[at + len(part) :], check)
            except MeasuringError:
                noticed[number] += 1
    return [name, *(f"{part / count:.0%}" for part in noticed)]


def _peak(kind: str, small: bytes, large: bytes) -> float:
    """Return the bytes per pixel at the peak of a decoder, in a new process; `small` is for what it imports."""
    decoding.is_damaged(io.BytesIO(small), kind, _MAX_BYTES)
    # Linux: reset the peak of resident memory.
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _resident("VmRSS")
    decoding.is_damaged(io.BytesIO(large), kind, _MAX_BYTES)
    return (_resident("VmHWM") - before) / _SIDE**2


def _resident(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path("/proc/self/status").read_text(encoding="ascii"), re.MULTILINE)
    if found is None:
        raise ValueError(f"this system does not report {name}")
    return int(found[1]) * 1024
