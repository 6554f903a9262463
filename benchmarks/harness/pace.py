"""Measures the pace: how fast this machine is now, compared to the machine where absolute figures were set.

Shared processors can run at half speed for hours. Ratios within one run do not depend on the pace. Times and images per
second do.
"""

import statistics
import time
from collections.abc import Callable, Sequence

import requests

from benchmarks.world.served_images import served_images, urls

IMAGE_BYTES = 100_000
# The CPU time of `requests.get(...).content` for such an image on that machine, in milliseconds.
REFERENCE_MS = 1.17
_IMAGES = 40
_ROUNDS = 7


def plain_download(url: str) -> bytes:
    """Download an image with plain requests."""
    return requests.get(url, timeout=20).content


def cpu_seconds(call: Callable[[str], object], images: Sequence[str]) -> float:
    """Return the mean CPU time of calling a function with the URL of each image."""
    begin = time.process_time()
    for url in images:
        call(url)
    return (time.process_time() - begin) / len(images)


def measure_pace() -> float:
    """Return the pace: 0.5 if everything takes twice the CPU time that it took where the figures were set."""
    with served_images(IMAGE_BYTES, 0) as base:
        images = urls(base, _IMAGES)
        taken = [1000 * cpu_seconds(plain_download, images) for _ in range(_ROUNDS)]
    # The first round also pays for imports and caches.
    return REFERENCE_MS / statistics.median(taken[1:])
