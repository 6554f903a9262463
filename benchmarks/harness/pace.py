"""How fast a processor of this machine is at the moment, against the one that the absolute figures were set on.

Processors that are shared with others run at half their pace for hours. Ratios within one run stand above that; a time,
or a number of images a second, does not.
"""

import statistics
import time

import requests

from benchmarks.world.served_images import served_images, urls

IMAGE_BYTES = 100_000
# What `requests.get(...).content` of such an image took of a processor there, in milliseconds.
REFERENCE_MS = 1.17
_IMAGES = 40
_ROUNDS = 7


def plain_download(url: str) -> bytes:
    """Return the whole of an image, the plain way."""
    return requests.get(url, timeout=20).content


def measure_pace() -> float:
    """Return the pace: 0.5 where everything takes a processor twice as long as where the figures were set."""
    with served_images(IMAGE_BYTES, 0) as base:
        images = urls(base, _IMAGES)
        taken = []
        for _ in range(_ROUNDS):
            begin = time.process_time()
            for url in images:
                plain_download(url)
            taken.append((time.process_time() - begin) / _IMAGES * 1000)
    # The first round makes imports and caches, too.
    return REFERENCE_MS / statistics.median(taken[1:])
