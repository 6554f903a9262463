"""Measures the CPU time of the first request to a new TLS host: one shared context against plain requests."""

from functools import partial

from benchmarks.harness.pace import cpu_seconds, plain_download
from benchmarks.harness.report import Figure, Section, Settings, Table, interleaved
from benchmarks.world.download_path import LIMITS, LOOPBACK
from benchmarks.world.internet import HOSTS, Line, internet
from local.images.pictures import Format, make_image
from retail_pulse.domain.hosts import Hosts
from retail_pulse.measuring.fetch import Fetcher
from tests.support.fetching import measure as measure_by

_BOUND = 0.10


def measure(settings: Settings) -> Section:
    """Request one image from each host, over new connections."""
    with internet([make_image(Format.PNG, 20, 27)], Line()) as bases:
        urls = [f"{base}/0" for base in bases]
        cases = {"ours": partial(_ours, urls), "plain": partial(cpu_seconds, plain_download, urls)}
        taken = interleaved(cases, 3 if settings.quick else 11)
    ratio = taken["ours"] / taken["plain"]
    row = [f"{taken['ours'] * 1000:.2f}", f"{taken['plain'] * 1000:.2f}", f"{ratio:.3f}"]
    return Section(
        "A new host over TLS",
        f"{len(HOSTS)} hosts with certificates of an authority that is in one bundle with those of certifi. Both "
        "clients verify. Medians of the client's CPU time, in turns. `requests.get` reads the bundle for every "
        "host.",
        [Figure("CPU time of the first request to a new TLS host, against plain requests", ratio, _BOUND)],
        [Table("CPU time of the first request", ("measured (ms)", "requests.get (ms)", "ratio"), [row], detail=True)],
    )


def _ours(urls: list[str]) -> float:
    # A worker has one fetcher for life. Here each turn gets its own, so that its connections are new.
    return cpu_seconds(partial(measure_by, Fetcher(LIMITS, LOOPBACK, Hosts(1))), urls)
