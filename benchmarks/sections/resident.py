"""Measures how much the memory of a worker grows with 16 downloads at once: of images of 8 MB, and of each bomb."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from benchmarks.harness.processes import run_in_new_process, served_by_new_process
from benchmarks.harness.report import Figure, Section, Settings, Table
from benchmarks.sections.downloads import LIMITS, LOOPBACK
from benchmarks.world.served_images import served_images, urls
from local.images.server import ImageServer, ok
from retail_pulse.domain.failures import MeasuringError
from retail_pulse.domain.hosts import Hosts
from retail_pulse.measuring.fetch import Fetcher
from tests.measuring.bombs import bombs
from tests.support.fetching import measure as measure_image

_AT_ONCE = 16
_MB = 1_000_000
_BOUND_MB = 25


def measure(settings: Settings) -> Section:
    """Measure each kind of file in its own worker."""
    downloads = 32 if settings.quick else 128
    with served_images(8 * _MB, 0) as base:
        images = run_in_new_process(_grown_megabytes, urls(base, downloads))
    with served_by_new_process(_serving_bombs) as (base, names):
        files = {name: [f"{base}/{number}"] * _AT_ONCE for number, name in enumerate(names)}
        if settings.quick:
            # All bombs in one worker: its peak is that of the worst bomb.
            files = {"all bombs": [url for several in files.values() for url in several]}
        worst = {name: run_in_new_process(_grown_megabytes, several) for name, several in files.items()}
    rows = [["images of 8 MB", f"{images:.1f}"], *([name, f"{peak:.1f}"] for name, peak in worst.items())]
    return Section(
        "Memory of downloads",
        f"{_AT_ONCE} downloads at once in their own worker, from a server in another process: the peak resident memory "
        "that the kernel reports, minus the resident memory of the same worker before the downloads. Bombs that are "
        "not small by nature have 8 MB.",
        [
            Figure(
                f"resident memory, {_AT_ONCE} downloads of 8 MB at once, above the idle worker", images, _BOUND_MB, "MB"
            ),
            Figure(f"resident memory, {_AT_ONCE} of the worst bomb at once", max(worst.values()), _BOUND_MB, "MB"),
        ],
        [Table("Memory above the idle worker", ("file", "MB"), rows, detail=True)],
    )


def _grown_megabytes(images: list[str]) -> float:
    fetcher = Fetcher(LIMITS, LOOPBACK, Hosts(_AT_ONCE))
    with ImageServer() as server:
        _outcome(fetcher, server.script("/small", ok(b"GIF89a")))
    # Linux: reset the peak of resident memory.
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    idle = _megabytes("VmRSS")
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(lambda url: _outcome(fetcher, url), images))
    return _megabytes("VmHWM") - idle


def _outcome(fetcher: Fetcher, url: str) -> str:
    try:
        return measure_image(fetcher, url).format
    except MeasuringError as error:
        return error.code


def _megabytes(name: str) -> float:
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path("/proc/self/status").read_text(encoding="ascii"), re.MULTILINE)
    if found is None:
        raise ValueError(f"this system does not report {name}")
    return int(found[1]) * 1024 / _MB


@contextmanager
def _serving_bombs() -> Iterator[tuple[str, list[str]]]:
    """Serve the bombs; yield the base URL and their names, whose indexes are the paths."""
    names = []
    with ImageServer() as server:
        for number, (name, content) in enumerate(bombs()):
            names.append(name)
            server.script(f"/{number}", ok(content))
        yield server.url(""), names
