"""What a worker takes when its threads are all busy. Runs in a process of its own, whose limits the caller sets."""

import resource
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from retail_pulse.domain.failures import MeasuringError
from retail_pulse.measuring.fetch import Fetcher
from tests.measuring.hostile_server import fetcher
from tests.support.fetching import measure

# As in Lambda.
DESCRIPTORS = 1024


def outcomes(urls: Sequence[str], threads: int) -> tuple[Counter[str], int]:
    """Measure images at once; return their outcomes, and how many descriptors were open at most above those before."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
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
