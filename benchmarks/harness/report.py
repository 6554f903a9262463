"""The result of a benchmark: figures with their bounds, tables and plots.

Every module that ``make bench`` runs has a function ``measure(settings) -> Section``.
`benchmarks.__main__` lists these modules, prints their sections and writes them into the pages.
"""

import importlib
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Settings:
    """How to measure.

    Parameters
    ----------
    quick
        Keep a complete run under four minutes, at the cost of more noise.
    """

    quick: bool = False


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure with a bound, which holds on any machine: a ratio, a number, bytes or list prices, but no CPU time.

    Parameters
    ----------
    what
        One line that says what was measured, and compared to what.
    measured, bound
        In ``unit``, which is empty for ratios.
    at_least
        Whether the bound is a minimum.
    """

    what: str
    measured: float
    bound: float
    unit: str = ""
    at_least: bool = False

    @property
    def is_met(self) -> bool:
        """Whether the measured value is within the bound."""
        return self.measured >= self.bound if self.at_least else self.measured <= self.bound


@dataclass(frozen=True, slots=True)
class Table:
    """A table of texts with one heading per column. Details are for docs/measurements.md only."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    detail: bool = False


@dataclass(frozen=True, slots=True)
class Plot:
    """A line plot in the file ``name``. ``series`` has the points (x, y) of each line, by label."""

    name: str
    title: str
    x: str
    y: str
    series: Mapping[str, Sequence[tuple[float, float]]]
    log_x: bool = False


@dataclass(frozen=True, slots=True)
class Bars:
    """A plot in the file ``name`` with one horizontal bar per label, in the order of ``lengths``."""

    name: str
    title: str
    x: str
    lengths: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Section:
    """The result of one module. ``text`` says how it was measured, in Markdown; details are as those of a table."""

    title: str
    text: str
    figures: Sequence[Figure] = field(default=())
    tables: Sequence[Table] = field(default=())
    plots: Sequence[Plot] = field(default=())
    bars: Sequence[Bars] = field(default=())
    details: str = ""

    @property
    def drawings(self) -> Sequence[Plot | Bars]:
        """Everything that has a file among the plots."""
        return [*self.plots, *self.bars]


class SkippedError(Exception):
    """A section cannot be measured here, for the reason that the message gives."""


def section(name: str, settings: Settings) -> Section:
    """Return what the module with this name measures."""
    measured: Section = importlib.import_module(f"benchmarks.sections.{name}").measure(settings)
    return measured


def interleaved(cases: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Return the median of what each case took, in its unit, by the name of the case.

    The cases run in turns, so that other work on the machine affects all of them equally.
    """
    taken = [{name: run() for name, run in cases.items()} for _ in range(rounds)]
    return {name: statistics.median(each[name] for each in taken) for name in cases}
