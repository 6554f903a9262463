"""Serves images on 127.0.0.1 in a separate process, so that serving does not count as downloading."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from benchmarks.harness.processes import served_by_new_process
from local.images.pictures import Format, make_image
from local.images.server import ImageServer, stalled

_FORMATS = (Format.JPEG, Format.JPEG, Format.PNG, Format.WEBP)


@contextmanager
def served_images(size: int, wait: float) -> Iterator[str]:
    """Serve four images in three formats; yield the base URL, from which `urls` makes any number of URLs.

    Parameters
    ----------
    size
        Minimum size of each image, in bytes.
    wait
        Seconds before the first byte of each response, as from a distant server.
    """
    with served_by_new_process(_serving, size, wait) as base:
        yield base


def pictures(size: int) -> list[bytes]:
    """Return four images in three formats, each of at least so many bytes."""
    # Enough pixels of noise to fill the file. A smaller image would be padded with a long header.
    side = max(480, math.isqrt(2 * size))
    return [
        make_image(kind, side + number, side, bytes_at_least=size, seed=number) for number, kind in enumerate(_FORMATS)
    ]


@contextmanager
def _serving(size: int, wait: float) -> Iterator[str]:
    with ImageServer() as server:
        for number, content in enumerate(pictures(size)):
            server.script(f"/{number}", stalled(content, seconds=wait))
        yield server.url("")


def urls(base: str | Sequence[str], count: int, length: int = 70) -> list[str]:
    """Return different URLs of the same length, from several bases in turn.

    They differ in their queries, which the servers ignore.
    """
    bases = [base] if isinstance(base, str) else base
    return [
        f"{bases[number % len(bases)]}/{number % len(_FORMATS)}?{number:08d}".ljust(length, "x")
        for number in range(count)
    ]
