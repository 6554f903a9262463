"""Compares CPU times of an image: streamed and measured from its header, or downloaded as a whole and opened."""

import time
from functools import partial

from benchmarks.harness.pace import cpu_seconds
from benchmarks.harness.report import Figure, Section, Settings, Table, interleaved
from benchmarks.world.clients import plain_size
from benchmarks.world.download_path import LIMITS, LOOPBACK
from benchmarks.world.served_images import served_images, urls
from retail_pulse.domain.hosts import Hosts
from retail_pulse.measuring.fetch import Fetcher
from tests.support.fetching import measure as measure_by

_BOUNDS = {100_000: 0.22, 1_000_000: 0.20, 8_000_000: 0.20}
# Images per turn: enough small ones for the resolution of the clock.
_IMAGES = {100_000: 60, 1_000_000: 24, 8_000_000: 8}
# A connection rests for half a second before it is used again.
_WARM_UP_SECONDS = 1.5
_NAMES = {100_000: "100 KB", 1_000_000: "1 MB", 8_000_000: "8 MB"}


def measure(settings: Settings) -> Section:
    """Measure images of three sizes."""
    figures, rows = [], []
    for size, bound in _BOUNDS.items():
        ours, plain = _compare(size, 5 if settings.quick else 15)
        name = _NAMES[size]
        what = f"CPU time per image of {name} in one thread, against requests.get(...).content + Pillow"
        figures.append(Figure(what, ours / plain, bound))
        rows.append([name, f"{ours * 1000:.2f}", f"{plain * 1000:.2f}", f"{ours / plain:.2f}", f"{bound:.2f}"])
    columns = ("image", "measured (ms)", "requests.get + Pillow (ms)", "ratio", "at most")
    return Section(
        "Downloads",
        "JPEG, PNG and WebP from a server on 127.0.0.1 in its own process. Medians of the client's CPU time, in turns. "
        "The worker is warm, keeps its connections, streams, and reads size and end marks. The other client calls "
        "`requests.get`, takes `.content` and opens it with Pillow, which does not decode pixels either.",
        figures,
        [Table("CPU time per image", columns, rows, detail=True)],
    )


def _compare(size: int, rounds: int) -> tuple[float, float]:
    measure_image = partial(measure_by, Fetcher(LIMITS, LOOPBACK, Hosts(1)))
    with served_images(size, 0) as base:
        images = urls(base, _IMAGES[size])
        for url in images[:4]:
            measured = measure_image(url)
            if (measured.width, measured.height) != plain_size(url):
                raise ValueError(f"the fetcher and Pillow disagree on the size of {url}")
        cases = {"ours": partial(cpu_seconds, measure_image, images), "plain": partial(cpu_seconds, plain_size, images)}
        begin = time.monotonic()
        while time.monotonic() < begin + _WARM_UP_SECONDS:
            interleaved(cases, 1)
        taken = interleaved(cases, rounds)
    return taken["ours"], taken["plain"]
