"""Writes the measured parts of the docs from results.json, between two marks. The rest is hand-written."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.harness.pace import REFERENCE_MS
from benchmarks.harness.record import ROOT, Measurement
from benchmarks.harness.report import Figure, Table

PAGE = ROOT / "docs" / "performance.md"
SCALING = ROOT / "docs" / "scaling.md"
PLOTS = ROOT / "docs" / "plots"
BEGIN = "<!-- measured: written by `make bench`; do not edit -->"
END = "<!-- end of what was measured -->"
_PACE = (
    "Ratios compare runs in turns, so they hold on any machine. CPU times do not: on shared processors the same code "
    "took up to twice as long from one day to the next. The last column has the value at the pace of the machine where "
    "the figures were set, on which a plain download (`requests.get`, 100 KB) took "
    f"{REFERENCE_MS} ms of CPU time. Every section begins with such downloads; its last line has the pace of its "
    "machine, where 1 is as fast. The measured value decides whether a figure is met."
)
# Sections on another page than docs/performance.md, by module name.
_ELSEWHERE = {"quotas": SCALING}


class PageError(ValueError):
    """The page lacks the marks around the measured part."""


def number(value: float) -> str:
    """Return a number as text with three significant digits and without an exponent.

    Example
    -------
    >>> number(1234.5), number(0.04567)
    ('1,234', '0.0457')
    """
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def verdict(figure: Figure) -> str:
    """Return whether a figure is met, as text."""
    return "met" if figure.is_met else "not met"


def measured(figure: Figure) -> str:
    """Return the measured value with its unit."""
    return f"{number(figure.measured)} {figure.unit}".rstrip()


def at_pace(figure: Figure) -> str:
    """Return the value at the pace of the machine where the figures were set, or an empty string."""
    return "" if figure.at_pace is None else f"{number(figure.at_pace)} {figure.unit}".rstrip()


def bound(figure: Figure) -> str:
    """Return the bound of a figure with its unit."""
    return f"{'at least' if figure.at_least else 'at most'} {number(figure.bound)} {figure.unit}".rstrip()


def update(text: str, measurements: Mapping[str, Measurement], order: Iterable[str]) -> str:
    """Return a page with the measurements.

    Parameters
    ----------
    text
        The current page.
    measurements
        By module name.
    order
        Module names in the order of their sections.

    Raises
    ------
    PageError
        The text lacks the marks.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise PageError(f"the page lacks the line {BEGIN!r} or {END!r}")
    known = [measurements[name] for name in order if name in measurements]
    return before + "\n\n".join([BEGIN, *_summary(known), *_sections(known), END]) + after


def _summary(measurements: Sequence[Measurement]) -> Iterator[str]:
    figures = [figure for measurement in measurements for figure in measurement.section.figures]
    if figures:
        rows = [(figure.what, measured(figure), bound(figure), verdict(figure), at_pace(figure)) for figure in figures]
        yield "## The figures"
        yield _PACE
        yield _table(Table("", ("what", "measured", "bound", "", "at the reference's pace"), rows))


def _sections(measurements: Iterable[Measurement]) -> Iterator[str]:
    for measurement in measurements:
        section, run = measurement.section, measurement.run
        yield f"## {section.title}"
        yield section.text
        for table in section.tables:
            yield f"**{table.title}**"
            yield _table(table)
        for plot in section.plots:
            yield f"![{plot.title}]({PLOTS.relative_to(PAGE.parent).as_posix()}/{plot.name}.svg)"
        yield (
            f"<sub>`{run.command}` on the code of {run.commit_date}: {run.machine}, {run.python}, "
            f"load {run.load:.1f} at the start, pace {number(run.pace)}.</sub>"
        )


def _table(table: Table) -> str:
    rows = [table.columns, ["---"] * len(table.columns), *table.rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)


def written(measurements: Mapping[str, Measurement], order: Sequence[str]) -> dict[Path, str]:
    """Return the text of each page with the measurements.

    Raises
    ------
    PageError
        A page lacks the marks.
    """
    return {
        page: update(
            page.read_text(encoding="utf-8"),
            measurements,
            [name for name in order if _ELSEWHERE.get(name, PAGE) == page],
        )
        for page in (PAGE, SCALING)
    }
