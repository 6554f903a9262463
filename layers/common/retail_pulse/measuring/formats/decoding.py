"""Decodes pictures, one by one, in a process of its own: `PixelCheck` starts this file, and may end it at any time.

It imports nothing of the package and gets none of the function's environment.
"""

import os
import re
import resource
import socket
import sys
from typing import IO

READY, FINE, DAMAGED = b"?", b"+", b"-"

# Bytes per pixel at the peak of a decoder; `make bench ONLY=pixels` measures them.
_PIXEL_BYTES = {"AVIF": 13, "JPEG": 11, "JPEG2000": 30, "WEBP": 20}
_OTHER_PIXEL_BYTES = 10
# For Python, Pillow, and a file of 50 MB that a decoder wants in memory.
_BASE_BYTES = 100_000_000

# An error of Pillow that says nothing about the file: its codec was not built for it, or lacks memory.
_OTHER_ERRORS = r"(?i)decoder error -[89]\b|bad configuration|out of memory"
# The compressions that every build of libtiff reads.
_TIFF_COMPRESSIONS = {
    "raw", "tiff_ccitt", "group3", "group4", "tiff_lzw", "jpeg", "tiff_adobe_deflate", "tiff_deflate", "packbits",
}  # fmt: skip


def pixel_bytes(name: str) -> int:
    """Return how much memory a pixel of a format may take."""
    return _PIXEL_BYTES.get(name, _OTHER_PIXEL_BYTES)


def is_damaged(file: IO[bytes], name: str, max_bytes: int) -> bool:
    """Return whether decoding the first picture of a file shows that it is damaged.

    Parameters
    ----------
    file
        A complete file.
    name
        Its format, as Pillow calls it.
    max_bytes
        Nothing is known about a picture that takes more memory, nor about one that Pillow does not open.
    """
    from PIL import Image

    # Pillow raises an error above twice as many, also for a picture within another file.
    Image.MAX_IMAGE_PIXELS = max_bytes // pixel_bytes(name) // 2
    # Pillow does not decode Apple's variant of PNG.
    if name == "PNG" and file.read(16)[12:] == b"CgBI":
        return False
    # An error at the opening counts where it reads more than a header: all chunks of a PNG, all pixels of an icon.
    counts = name in ("PNG", "ICO")
    try:
        if name == "PNG":
            # Checksums, which are not compared while pixels are decoded.
            with Image.open(file, formats=[name]) as image:
                image.verify()
        with Image.open(file, formats=[name]) as image:
            if name == "TIFF" and image.info.get("compression") not in _TIFF_COMPRESSIONS:
                return False
            counts = True
            image.load()
    except (MemoryError, Image.DecompressionBombError):
        return False
    except Exception as error:  # noqa: BLE001  # Pillow raises errors of many kinds
        return counts and not re.search(_OTHER_ERRORS, str(error))
    return False


def main(paths: str, max_bytes: int) -> None:
    """Decode each file whose descriptor and format come over the socket that is the standard input."""
    sys.path[:] = paths.split(os.pathsep)
    from PIL import AvifImagePlugin, Image

    # More threads would take more memory, for a processor that is busy in any case.
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    Image.init()
    resource.setrlimit(resource.RLIMIT_DATA, (max_bytes + _BASE_BYTES,) * 2)
    with socket.socket(fileno=0) as requests:
        requests.sendall(READY)
        while True:
            name, descriptors, _, _ = socket.recv_fds(requests, 64, 1)
            if not name:
                return
            with os.fdopen(descriptors[0], "rb") as file:
                requests.sendall(DAMAGED if is_damaged(file, name.decode(), max_bytes) else FINE)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
