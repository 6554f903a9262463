"""One module's measurement in a process of its own."""

import importlib
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

from benchmarks.report import Section, Settings


def run_alone(name: str, settings: Settings) -> Section:
    """Measure with one module of this package; what another left in memory or in threads would be measured with it."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measure, name, settings).result()


def _measure(name: str, settings: Settings) -> Section:
    section: Section = importlib.import_module(f"benchmarks.{name}").measure(settings)
    return section
