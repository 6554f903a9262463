"""Check the template with checkov, before and after the SAM transform: ``python -m tools.guard CHECKOV``.

checkov itself passes a template that it cannot read, and does not report an exception that is no longer needed.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from local.checkout import ROOT, TEMPLATE
from local.emulator.template import read
from tools.transform import transform

EXCEPTIONS = ROOT / ".checkov.yaml"
_OPTIONS = ("--framework", "cloudformation", "--output", "json", "--skip-download", "--soft-fail")
_SECONDS = 120

Report = Mapping[str, Any]


class GuardError(RuntimeError):
    """checkov did not give a report."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 1 for a broken rule, a needless exception or an unreadable template."""
    parser = argparse.ArgumentParser(prog="tools.guard", description="Check the template with checkov.")
    parser.add_argument("checkov", type=Path, help="the program checkov, in its own environment")
    checkov = parser.parse_args(arguments).checkov.absolute()
    excepted = yaml.safe_load(EXCEPTIONS.read_text(encoding="utf-8"))["skip-check"]
    # checkov reads settings from the folder that it runs in, so it runs in an empty one.
    with tempfile.TemporaryDirectory() as folder:
        transformed = Path(folder) / "transformed.json"
        transformed.write_text(json.dumps(transform(read()), indent=1), encoding="utf-8")
        try:
            reports = {path.name: scan(checkov, path, Path(folder)) for path in (TEMPLATE, transformed)}
            code, text = judge(reports, excepted)
        except GuardError as error:
            code, text = 1, f"guard: {error}"
    print(text, file=sys.stderr if code else sys.stdout)
    return code


def scan(checkov: Path, template: Path, folder: Path) -> Report:
    """Return checkov's report on a template, by all rules and without the network, or raise `GuardError`."""
    command: list[str | Path] = [checkov, "--file", template, *_OPTIONS]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=_SECONDS)
        report: Report = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise GuardError(f"no report from checkov on {template.name}: {error}") from error
    return report


def judge(reports: Mapping[str, Report], excepted: Sequence[str]) -> tuple[int, str]:
    """Return the exit code and the message for checkov's reports by template, and the rules that may be broken."""
    wrong: list[str] = []
    broken: set[str] = set()
    passed = 0
    for name, report in reports.items():
        results = report.get("results", {})
        if not results.get("passed_checks") or results.get("parsing_errors"):
            wrong.append(f"guard: {name}: checkov could not read it")
            continue
        passed += len(results["passed_checks"])
        for found in results["failed_checks"]:
            broken.add(rule := found["check_id"])
            if rule not in excepted:
                place = f"{name}:{found['file_line_range'][0]}: {found['resource']}"
                wrong.append(f"guard: {place}: {rule} {found['check_name']}")
    if not wrong:
        wrong += [f"guard: {EXCEPTIONS.name}: {rule} is no longer needed" for rule in excepted if rule not in broken]
    return (1, "\n".join(wrong)) if wrong else (0, f"guard: {passed} checks passed, {len(excepted)} rules excepted")


if __name__ == "__main__":
    sys.exit(main())
