"""Measure figures and compare them with their bounds: ``make bench [QUICK=1] [ONLY=cold_start]``.

Prints every section, and at the end one line per figure: met or not. Without QUICK, it also writes results.json, and
from it the tables and plots of docs/performance.md, docs/measurements.md and docs/scaling.md. The exit status is 1 if a
figure is not met, and 2 if a section failed. A section that cannot be measured here is named and skipped.
"""

import argparse
import re
import sys
import time
import traceback
from collections.abc import Mapping

from rich.console import Console
from rich.table import Table as Printed

from benchmarks.harness import page, plots, record
from benchmarks.harness.pace import measure_pace
from benchmarks.harness.processes import run_in_new_process
from benchmarks.harness.record import Measurement, Run
from benchmarks.harness.report import Section, Settings, SkippedError, section

# In the order of the pages. Each is a module of `benchmarks.sections` with ``measure(settings) -> Section``.
MODULES = (
    "bill",
    "peers",
    "worker",
    "submit",
    "downloads",
    "tls",
    "resident",
    "corpus",
    "pixels",
    "cold_start",
    "reads",
    "quotas",
)

_LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")


def _print(console: Console, section: Section) -> None:
    console.print("\n\n".join(filter(None, (section.text, section.details))))
    for table in section.tables:
        printed = Printed(*table.columns, title=table.title, title_justify="left")
        for row in table.rows:
            printed.add_row(*(_LINK.sub(r"\1", cell) for cell in row))
        console.print(printed)
    for plot in section.plots:
        printed = Printed(plot.x, *plot.series, title=f"{plot.title} ({plot.y})", title_justify="left")
        for x in sorted({x for points in plot.series.values() for x, _ in points}):
            cells = [dict(points).get(x) for points in plot.series.values()]
            printed.add_row(page.number(x), *("" if y is None else page.number(y) for y in cells))
        console.print(printed)


def _store(measurements: Mapping[str, Measurement]) -> None:
    kept = record.load() | dict(measurements)
    record.save(kept)
    for measurement in measurements.values():
        for plot in measurement.section.drawings:
            plots.draw(plot, page.PLOTS)
    for path, text in page.written(kept, MODULES).items():
        path.write_text(text, encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="under four minutes, noisier; the docs do not change")
    parser.add_argument("--only", choices=MODULES, metavar="NAME", help=f"one of {', '.join(MODULES)}")
    chosen = parser.parse_args(arguments)
    command = " ".join(["make bench", *(["QUICK=1"] * chosen.quick), *([f"ONLY={chosen.only}"] if chosen.only else [])])
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    measurements: dict[str, Measurement] = {}
    skipped, failed = [], []
    for name in [chosen.only] if chosen.only else MODULES:
        console.rule(f"[bold]{name}", align="left")
        begin = time.monotonic()
        try:
            run = Run.here(command, run_in_new_process(measure_pace))
            console.print(f"{run.machine}, {run.python}, load {run.load:.1f}, pace {page.number(run.pace)}")
            measurements[name] = Measurement(run_in_new_process(section, name, Settings(chosen.quick)), run)
        except SkippedError as reason:
            skipped.append(f"skipped  {name}: {reason}")
        except Exception:  # noqa: BLE001 - the other sections are still measured
            traceback.print_exc()
            failed.append(name)
        else:
            _print(console, measurements[name].section)
            if not chosen.quick:
                _store({name: measurements[name]})
        console.print(f"took {time.monotonic() - begin:.0f} s")

    console.rule("[bold]figures", align="left")
    figures = [figure for measurement in measurements.values() for figure in measurement.section.figures]
    for figure in figures:
        what, measured, bound, verdict = page.texts(figure)
        line = f"{verdict:8} {what}: {measured}, {bound}"
        console.print(line, style="" if figure.is_met else "red", soft_wrap=True, markup=False)
    for line in skipped:
        console.print(line, soft_wrap=True, markup=False)
    for name in failed:
        console.print(f"failed   {name}", style="red")
    return 2 if failed else int(not all(figure.is_met for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
