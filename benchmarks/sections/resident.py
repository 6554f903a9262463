"""Measures what a worker holds: memory with 16 downloads at once, of images of 8 MB and of each bomb, and sockets."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.harness.processes import run_in_new_process, served_by_new_process
from benchmarks.harness.report import Figure, Section, Settings, Table
from benchmarks.world.download_path import LIMITS, LOOPBACK
from benchmarks.world.served_images import served_images, urls
from local.images.server import ImageServer, ok, stalled
from retail_pulse.domain.failures import MeasuringError
from retail_pulse.domain.hosts import Hosts
from retail_pulse.measuring.fetch import Fetcher
from tests.measuring.bombs import bombs
from tests.support.fetching import measure as measure_image

_AT_ONCE = 16
_MB = 1_000_000
_IMAGES_MB, _BOMB_MB = 10, 20
_HOSTS = _THREADS = 100
# What the pool of idle connections keeps.
_SOCKETS = 256


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
    with served_by_new_process(_serving_hosts) as bases:
        sockets = run_in_new_process(_sockets, bases, 20 if settings.quick else _THREADS)
    rows = [["images of 8 MB", f"{images:.1f}"], *([name, f"{peak:.1f}"] for name, peak in worst.items())]
    return Section(
        "Memory of downloads",
        f"{_AT_ONCE} downloads at once in their own worker, from a server in another process: the peak resident memory "
        "that the kernel reports, minus the resident memory of the same worker before the downloads. Bombs that are "
        f"not small by nature have 8 MB. Sockets are those that a worker with {_THREADS} threads still has open after "
        f"{_HOSTS} hosts, one after the other, with a connection per thread to each.",
        [
            Figure(
                f"resident memory, {_AT_ONCE} downloads of 8 MB at once, above the idle worker",
                images,
                _IMAGES_MB,
                "MB",
            ),
            Figure(f"resident memory, {_AT_ONCE} of the worst bomb at once", max(worst.values()), _BOMB_MB, "MB"),
            Figure(f"sockets of a warm worker after {_HOSTS} hosts", sockets, _SOCKETS),
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


def _sockets(bases: list[str], at_once: int) -> int:
    fetcher = Fetcher(LIMITS, LOOPBACK, Hosts(at_once))
    with ThreadPoolExecutor(at_once) as pool:
        for base in bases:
            list(pool.map(lambda url: _outcome(fetcher, url), urls(base, at_once)))
    return sum(_is_socket(each) for each in Path("/proc/self/fd").iterdir())


def _is_socket(descriptor: Path) -> bool:
    try:
        return str(descriptor.readlink()).startswith("socket:")
    except FileNotFoundError:  # that of the folder itself
        return False


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
            server.script(f"/{number}", ok(content()))
        yield server.url(""), names


@contextmanager
def _serving_hosts() -> Iterator[list[str]]:
    """Serve a small image from many hosts, after a pause in which every thread opens a connection; yield their URLs."""
    with ExitStack() as stack:
        servers = [stack.enter_context(ImageServer(host=f"127.0.0.{number + 1}")) for number in range(_HOSTS)]
        for server in servers:
            for path in range(4):
                server.script(f"/{path}", stalled(b"GIF89a", seconds=0.05))
        yield [server.url("") for server in servers]
