"""What a benchmark comes to: figures held against their bounds, tables, and plots.

Every module of this package that ``make bench`` runs has one function, ``measure(settings) -> Section``;
`benchmarks.__main__` lists the modules, prints the sections and writes them into docs/performance.md.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Settings:
    """How and where to measure.

    Parameters
    ----------
    quick
        Keep a whole run under three minutes, at the price of noise.
    pace
        This machine's, see `benchmarks.harness.pace`: CPU time measured here, times the pace, is the CPU time where the
        figures were set.
    """

    quick: bool = False
    pace: float = 1.0


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure that is to be held.

    Parameters
    ----------
    what
        What was measured, against what, in one line.
    measured, bound
        In ``unit``; ratios have an empty one.
    at_least
        Whether the bound is a lower one.
    at_pace
        What it comes to at the pace of the machine that the figures were set on; None where no time of a processor
        is in it. The bound is held against what was measured all the same.
    """

    what: str
    measured: float
    bound: float
    unit: str = ""
    at_least: bool = False
    at_pace: float | None = None

    @property
    def is_met(self) -> bool:
        """Whether the bound is kept."""
        return self.measured >= self.bound if self.at_least else self.measured <= self.bound


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a heading each column; cells are texts as they are to be read."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Plot:
    """A line plot; ``name`` is its file's, ``series`` holds points (x, y) by what they show."""

    name: str
    title: str
    x: str
    y: str
    series: Mapping[str, Sequence[tuple[float, float]]]
    log_x: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """What one module has measured; ``text`` says how, in sentences for docs/performance.md."""

    title: str
    text: str
    figures: Sequence[Figure] = field(default=())
    tables: Sequence[Table] = field(default=())
    plots: Sequence[Plot] = field(default=())


def interleaved(cases: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Measure cases in turn, so that what else the machine does meets all of them alike.

    Parameters
    ----------
    cases
        Each runs once when called, and returns what it took, in any unit.
    rounds
        How often each is run.

    Returns
    -------
    dict
        The median of each case.
    """
    taken: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, run in cases.items():
            taken[name].append(run())
    return {name: statistics.median(values) for name, values in taken.items()}
