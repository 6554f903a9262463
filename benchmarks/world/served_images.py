"""Images on 127.0.0.1, in a process of their own, so that serving them is not counted as downloading them."""

import math
import multiprocessing
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection

from local.images.pictures import Format, make_image
from local.images.server import ImageServer, stalled

_FORMATS = (Format.JPEG, Format.JPEG, Format.PNG, Format.WEBP)


@contextmanager
def served_images(size: int, wait: float) -> Iterator[str]:
    """Serve four images, three formats among them.

    Parameters
    ----------
    size
        Bytes that each of them has at least.
    wait
        Seconds before the first byte of each answer, as a server far away takes.

    Yields
    ------
    str
        Base URL; `urls` makes any number of URLs of it.
    """
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(theirs, size, wait), daemon=True)
    process.start()
    theirs.close()
    try:
        yield str(ours.recv())
    finally:
        ours.close()
        process.join(10)


def pictures(size: int) -> list[bytes]:
    """Make four images, three formats among them, each of at least so many bytes."""
    # Enough pixels for their noise to fill the file: a smaller picture would be padded with a long header.
    side = max(480, math.isqrt(2 * size))
    return [
        make_image(kind, side + number, side, bytes_at_least=size, seed=number) for number, kind in enumerate(_FORMATS)
    ]


def _serve(parent: Connection, size: int, wait: float) -> None:
    with ImageServer() as server:
        for number, content in enumerate(pictures(size)):
            server.script(f"/{number}", stalled(content, seconds=wait))
        parent.send(server.url(""))
        try:
            parent.recv()
        except EOFError:
            return


def urls(base: str | Sequence[str], count: int, length: int = 70) -> list[str]:
    """Return different URLs of one length, of several bases in turn.

    The query, which the servers leave alone, tells them apart.
    """
    bases = [base] if isinstance(base, str) else base
    return [
        f"{bases[number % len(bases)]}/{number % len(_FORMATS)}?{number:08d}".ljust(length, "x")
        for number in range(count)
    ]
