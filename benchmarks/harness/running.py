"""Runs each measurement in its own process."""

import importlib

from benchmarks.harness.pace import measure_pace
from benchmarks.harness.processes import new_process
from benchmarks.harness.report import Section, Settings


def pace_now() -> float:
    """Return this machine's pace."""
    with new_process() as pool:
        return pool.submit(measure_pace).result()


def run_isolated(name: str, settings: Settings) -> Section:
    """Run one module in a new process, free of the memory and threads of other modules."""
    with new_process() as pool:
        return pool.submit(_measure, name, settings).result()


def _measure(name: str, settings: Settings) -> Section:
    section: Section = importlib.import_module(f"benchmarks.sections.{name}").measure(settings)
    return section
