"""What a worker takes when its threads are all busy. Runs in a process of its own, whose limits the caller sets."""

import os
import resource
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from local.emulator.descriptors import limit_descriptors
from retail_pulse.domain.failures import MeasuringError
from retail_pulse.domain.hosts import Hosts
from retail_pulse.domain.image_requests import ImageRequest
from retail_pulse.measuring.fetch import Fetcher
from tests.measuring.hostile_server import fetcher
from tests.support.fetching import measure


def outcomes(urls: Sequence[str], threads: int) -> tuple[Counter[str], int]:
    """Measure images at once; return their outcomes, and how many descriptors were open at most above those before."""
    limit_descriptors()
    fetching = fetcher()
    before = most = _descriptors()
    found: Counter[str] = Counter()
    with ThreadPoolExecutor(threads) as pool:
        for outcome in pool.map(lambda url: _outcome(fetching, url), urls):
            found[outcome] += 1
            most = max(most, _descriptors())
    return found, most - before


def grown_bytes(warm_up: str, url: str, threads: int) -> tuple[Counter[str], int]:
    """Measure an image as often as there are threads, at once; return the outcomes, and how much memory it took."""
    fetching = fetcher()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda _: _outcome(fetching, warm_up), range(4 * threads)))
        # Linux: reset the peak of resident memory.
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        before = _kilobytes("VmRSS")
        found = Counter(pool.map(lambda _: _outcome(fetching, url), range(threads)))
    return found, (_kilobytes("VmHWM") - before) * 1024


def outcomes_without_descriptors(url: str, tiff: str) -> list[tuple[str, str, bool, bool] | str]:
    """Return what becomes of images when no descriptor is free, when one is, and when all are.

    Parameters
    ----------
    url
        An image at 127.0.0.1.
    tiff
        A TIFF at 127.0.0.1 that is too large to be buffered in memory.
    """
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    fetching = fetcher()
    by_name, mapped = (url.replace("127.0.0.1", host) for host in ("localhost", "b\xfccher.invalid"))
    opened = []
    try:
        while True:
            opened.append(Path(os.devnull).open("rb"))  # noqa: SIM115  # closed below
    except OSError:
        found = [_failure(fetching, each) for each in (url, by_name, mapped)]
    opened.pop().close()
    found.append(_failure(fetching, tiff))
    for file in opened:
        file.close()
    return found + [_failure(fetching, each) for each in (url, tiff, by_name, mapped)]


def _failure(fetching: Fetcher, url: str) -> tuple[str, str, bool, bool] | str:
    # Its URL is not read here: that may need a descriptor too.
    slot = Hosts(1).begin("client", "")
    assert slot is not None
    try:
        return fetching.measure(ImageRequest("client", url), slot).format
    except MeasuringError as error:
        return error.code, error.message, error.is_transient, error.costs_attempt


def _outcome(fetching: Fetcher, url: str) -> str:
    try:
        return measure(fetching, url).format
    except MeasuringError as error:
        return f"{error.code}: {error.message}"


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _kilobytes(name: str) -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition(f"{name}:")[2].split()[0])
