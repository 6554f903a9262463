"""The download path of the process function, without its storage, in its own process."""

import ipaddress
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from benchmarks.world.clients import Downloads, Size, timed
from benchmarks.world.usage import MEMORY
from local.lambda_host.environment import template
from retail_pulse.domain.hosts import Hosts
from retail_pulse.measuring.download.policy import CallPolicy
from retail_pulse.measuring.fetch import Fetcher, FetchLimits
from retail_pulse.runtime.garbage import tune_gc
from retail_pulse.runtime.one_core import stay_on_one_core
from tests.support.fetching import measure as measure_by

# More than any download takes here.
LIMITS = FetchLimits(5, 20, 60, 20_000_000, 100_000, 3)
LOOPBACK = CallPolicy([ipaddress.ip_network("127.0.0.0/8")], [range(1, 65536)])


class DownloadPath:
    """A warm fetcher with the configured threads: ``with made_in_new_process(DownloadPath) as path``.

    Parameters
    ----------
    one_core
        Bind the process to one core, as the deployed function does with its memory.
    """

    def __init__(self, one_core: bool = True) -> None:
        if one_core:
            stay_on_one_core({"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(MEMORY["process"])})
        threads = int(template().parameters["ProcessThreads"])
        self._pool = ThreadPoolExecutor(threads)
        self._measure_image = partial(measure_by, Fetcher(LIMITS, LOOPBACK, Hosts(threads)))
        tune_gc()

    def measure(self, urls: Sequence[str]) -> Downloads:
        """Measure images by their URLs."""
        return timed(self._sizes, urls)

    def _sizes(self, urls: Sequence[str]) -> list[Size]:
        return [(image.width, image.height) for image in self._pool.map(self._measure_image, urls)]
