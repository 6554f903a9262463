"""Measures the CPU time of importing each handler, next to that of `boto3.client("dynamodb")`."""

import shutil
import sysconfig
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.harness.report import Figure, Section, Settings, Table, interleaved
from local.checkout import ROOT
from local.lambda_host.environment import FUNCTIONS
from local.lambda_host.load import run_cold

_BASELINE = "import boto3; boto3.client('dynamodb')"
_BOUNDS = {"authorize": 1.3, "reprocess": 1.3, "status": 1.3, "process": 1.5, "submit": 1.8}
_CLOCK = "import sys, time\nbegin = time.process_time()\n{}\nprint(time.process_time() - begin, len(sys.modules))"


def _milliseconds(code: str, function: str | None, *options: str) -> float:
    return 1000 * float(run_cold(_CLOCK.format(code), function, *options).split()[0])


def _modules(code: str, function: str | None) -> int:
    return int(run_cold(_CLOCK.format(code), function).split()[1])


def _without_bytecode(folder: Path) -> tuple[str, ...]:
    """Return options of an interpreter that finds bytecode of the standard library only, in this empty folder."""
    cache = ("-X", f"pycache_prefix={folder}")
    for name in FUNCTIONS:
        run_cold("import app", name, *cache)
    for sources in (ROOT, Path(sysconfig.get_path("purelib"))):
        shutil.rmtree(folder / sources.relative_to(sources.anchor), ignore_errors=True)
    return ("-B", *cache)


def measure(settings: Settings) -> Section:
    """Import every handler in new interpreters, with bytecode and without."""
    imports: dict[str, tuple[str, str | None]] = {'`boto3.client("dynamodb")`': (_BASELINE, None)}
    imports |= {name: ("import app", name) for name in FUNCTIONS}
    modules = {name: _modules(*what) for name, what in imports.items()}  # also writes missing bytecode
    with tempfile.TemporaryDirectory() as folder:
        options = _without_bytecode(Path(folder))
        shipped = {name: partial(_milliseconds, *what) for name, what in imports.items()}
        bare = {f"{name} bare": partial(_milliseconds, *what, *options) for name, what in imports.items()}
        taken = interleaved(shipped | bare, 2 if settings.quick else 9)
    baseline = taken[next(iter(imports))]
    rows = [
        (
            name,
            f"{taken[name]:,.0f} ms",
            f"{taken[name] / baseline:.2f}",
            f"{taken[f'{name} bare']:,.0f} ms",
            f"{modules[name]}",
        )
        for name in imports
    ]
    columns = ("what", "import", "against boto3", "without bytecode", "modules")
    return Section(
        "Cold start",
        "CPU time of importing each handler, which creates its clients and reads its settings, in a new interpreter "
        "and without the interpreter's own start: medians of runs in turns. tests/functions/test_imports.py checks "
        "what a handler imports. *Without bytecode* is what a cold start would take if only the packages' sources "
        "were shipped; docs/deployment.md says how they are shipped.",
        [
            Figure(f'CPU time of importing {name}, against boto3.client("dynamodb")', taken[name] / baseline, bound)
            for name, bound in _BOUNDS.items()
        ],
        tables=[Table("Import of each handler", columns, rows, detail=True)],
    )
