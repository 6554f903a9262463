"""Writes the measured parts of the docs from results.json, between two marks. The rest is hand-written."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.harness.pace import REFERENCE_MS
from benchmarks.harness.record import Measurement, Run
from benchmarks.harness.report import Figure, Section, Table
from local.checkout import ROOT

PERFORMANCE = ROOT / "docs" / "performance.md"
MEASUREMENTS = ROOT / "docs" / "measurements.md"
SCALING = ROOT / "docs" / "scaling.md"
PLOTS = ROOT / "docs" / "plots"
BEGIN = "<!-- measured: written by `make bench`; do not edit -->"
END = "<!-- end of what was measured -->"
_RATIOS = (
    "The bounds hold on any machine: ratios compare runs in turns. Only the wall time of 1,000 images also grows with "
    "CPU time. Times are shown and not held, because on shared processors the same code took up to twice as long from "
    "one day to the next. The last line of a section has the pace of its machine: how fast it did plain downloads, "
    f"where 1 is {REFERENCE_MS} ms of CPU time for `requests.get` of 100 KB."
)
# Sections that a page has for itself, by module name.
_OWN_PAGE = {"quotas": SCALING}


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


def texts(figure: Figure) -> tuple[str, str, str, str]:
    """Return a figure as text: what, the measured value, the bound, and whether it is met."""
    measured, limit = (f"{number(value)} {figure.unit}".rstrip() for value in (figure.measured, figure.bound))
    bound = f"{'at least' if figure.at_least else 'at most'} {limit}"
    return figure.what, measured, bound, "met" if figure.is_met else "not met"


def written(measurements: Mapping[str, Measurement], order: Sequence[str]) -> dict[Path, str]:
    """Return the text of each page with the measurements.

    Raises
    ------
    PageError
        A page lacks the marks.
    """
    parts = contents(measurements, order)
    return {page: update(page.read_text(encoding="utf-8"), several) for page, several in parts.items()}


def update(text: str, parts: Sequence[str], begin: str = BEGIN) -> str:
    """Return the text of a page with these parts between its marks, of which the first one is given.

    Raises
    ------
    PageError
        The text lacks the marks.
    """
    before, found, rest = text.partition(begin)
    _, end, after = rest.partition(END)
    if not (found and end):
        raise PageError(f"the page lacks the line {begin!r} or {END!r}")
    return before + "\n\n".join([begin, *parts, END]) + after


def contents(measurements: Mapping[str, Measurement], order: Sequence[str]) -> dict[Path, list[str]]:
    """Return the measured parts of each page: all figures, and each section on one or two pages.

    Parameters
    ----------
    measurements
        By module name.
    order
        Module names in the order of their sections.
    """
    known = {name: measurements[name] for name in order if name in measurements}
    parts: dict[Path, list[str]] = {PERFORMANCE: list(_figures(known)), MEASUREMENTS: [], SCALING: []}
    for name, measurement in known.items():
        for page, section in _by_page(name, measurement.section).items():
            parts[page] += _section(section, measurement.run)
    return parts


def _by_page(name: str, section: Section) -> dict[Path, Section]:
    """Return a section's part on each page. If there are two, each links to the other."""
    if name in _OWN_PAGE:
        return {_OWN_PAGE[name]: section}
    details = [table for table in section.tables if table.detail]
    others = [table for table in section.tables if not table.detail]
    if not details:
        return {PERFORMANCE: section}
    if not (others or section.drawings):
        return {MEASUREMENTS: section}
    more = f"[More tables]({MEASUREMENTS.name}#{_anchor(section)})"
    how = f"[How this was measured]({PERFORMANCE.name}#{_anchor(section)})"
    return {
        PERFORMANCE: replace(section, text=f"{section.text}\n\n{more}", tables=others, details=""),
        MEASUREMENTS: replace(section, text=how, tables=details, plots=[], bars=[]),
    }


def _anchor(section: Section) -> str:
    return section.title.lower().replace(" ", "-")


def _figures(measurements: Mapping[str, Measurement]) -> Iterator[str]:
    rows = []
    for name, measurement in measurements.items():
        section = measurement.section
        page = next(iter(_by_page(name, section)))
        link = f"[{name}]({'' if page == PERFORMANCE else page.name}#{_anchor(section)})"
        rows += [(*texts(figure), link) for figure in section.figures]
    if rows:
        yield "## The figures"
        yield table(Table("", ("what", "measured", "bound", "", "section"), rows))
        yield _RATIOS


def _section(section: Section, run: Run) -> Iterator[str]:
    yield f"## {section.title}"
    yield section.text
    if section.details:
        yield section.details
    for each in section.tables:
        yield f"**{each.title}**"
        yield table(each)
    for plot in section.drawings:
        yield f"![{plot.title}]({PLOTS.name}/{plot.name}.svg)"
    yield (
        f"<sub>`{run.command}` on the code of {run.commit_date}: {run.machine}, {run.python}, "
        f"load {run.load:.1f} at the start, pace {number(run.pace)}.</sub>"
    )


def table(content: Table) -> str:
    """Return a table as Markdown, without its title."""
    rows = [content.columns, ["---"] * len(content.columns), *content.rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
