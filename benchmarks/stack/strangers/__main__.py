"""Attack the embedded stack, and print what is measured next to its target: ``make strangers [ONLY=F1] [WRITE=1]``.

Two clients with keys of their own, mallory and alice, share a stack of two workers. Every scenario starts its own stack
and image hosts on 127.0.0.x, and ends them. With WRITE, the results also go to now.json and to docs/strangers.md. The
exit status is 1 if a target is not met, and 2 if a scenario failed.
"""

import argparse
import signal
import sys
import time
import traceback
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.harness.pace import measure_pace
from benchmarks.harness.processes import run_in_new_process
from benchmarks.harness.record import Run
from benchmarks.stack.strangers import report
from benchmarks.stack.strangers.report import Finding, Result
from benchmarks.stack.strangers.scenarios import SCENARIOS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(prog="make strangers", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", choices=SCENARIOS, metavar="NAME", help=f"one of {', '.join(SCENARIOS)}")
    parser.add_argument("--write", action="store_true", help="store the results and write docs/strangers.md")
    options = parser.parse_args(arguments)
    # So that stacks and hosts are ended, as they are after an interrupt from the keyboard.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    failed, is_met = [], True
    for name in [options.only] if options.only else SCENARIOS:
        text, scenario = SCENARIOS[name]
        console.rule(f"[bold]{name}", align="left")
        console.print(text, markup=False)
        begin = time.monotonic()
        try:
            run = Run.here(f"make strangers ONLY={name}", run_in_new_process(measure_pace))
            findings = scenario()
        except Exception:  # noqa: BLE001 - the other scenarios are still run
            traceback.print_exc()
            failed.append(name)
            continue
        is_met = is_met and all(finding.is_met for finding in findings)
        _print(console, findings)
        console.print(f"took {time.monotonic() - begin:.0f} s, load {run.load:.1f} at the start, pace {run.pace:g}")
        if options.write:
            report.save(report.load(report.RECORD) | {name: Result(findings, run)}, report.RECORD)
            report.write_page({each: text for each, (text, _) in SCENARIOS.items()})
    for name in failed:
        console.print(f"failed: {name}", style="red")
    return 2 if failed else int(not is_met)


def _print(console: Console, findings: Sequence[Finding]) -> None:
    table = Table("what", "measured", "target")
    for finding in findings:
        style = "" if finding.is_met else "red"
        table.add_row(finding.what, finding.measured, finding.wanted, style=style)
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
