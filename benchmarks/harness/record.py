"""Stores what `make bench` measured in results.json, from which the pages are written."""

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from benchmarks.harness.report import Bars, Figure, Plot, Section, Table
from local.checkout import ROOT

RESULTS = ROOT / "benchmarks" / "results.json"


@dataclass(frozen=True, slots=True)
class Run:
    """How and where something was measured.

    Parameters
    ----------
    command
        The command that measures it again.
    machine, python
        Processors, memory and system; the interpreter.
    commit_date
        Date of the commit that was measured.
    load
        Load average of the minute before. If it is far above 0, the machine was busy with other work.
    pace
        See `benchmarks.harness.pace`.
    """

    command: str
    machine: str
    python: str
    commit_date: str
    load: float
    pace: float

    @classmethod
    def here(cls, command: str, pace: float) -> Self:
        """Describe this machine and this checkout."""
        python = f"{platform.python_implementation()} {platform.python_version()}"
        return cls(command, _machine(), python, _commit_date(), round(os.getloadavg()[0], 1), round(pace, 2))


@dataclass(frozen=True, slots=True)
class Measurement:
    """A section, and the run that measured it."""

    section: Section
    run: Run


def load(path: Path = RESULTS) -> dict[str, Measurement]:
    """Read all measurements, by module name. Return an empty dictionary if the file does not exist yet."""
    if not path.exists():
        return {}
    kept: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return {name: Measurement(_section(body["section"]), Run(**body["run"])) for name, body in kept.items()}


def save(measurements: Mapping[str, Measurement], path: Path = RESULTS) -> None:
    """Write all measurements."""
    bodies = {name: asdict(measurement) for name, measurement in sorted(measurements.items())}
    path.write_text(json.dumps(bodies, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _section(body: dict[str, Any]) -> Section:
    kinds = {"figures": Figure, "tables": Table, "plots": Plot, "bars": Bars}
    return Section(**body | {name: [kind(**each) for each in body[name]] for name, kind in kinds.items()})


def _machine() -> str:
    cpus = Path("/proc/cpuinfo")
    lines = cpus.read_text(encoding="utf-8").splitlines() if cpus.exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    processor = model or platform.processor() or platform.machine()
    return f"{os.cpu_count()} × {processor}, {gigabytes:.0f} GB, {platform.system()}"


def _commit_date() -> str:
    command = ["git", "-C", str(ROOT), "log", "-1", "--format=%cs"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
