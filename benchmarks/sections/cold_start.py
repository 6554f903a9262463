"""Measures the CPU time of importing each handler, next to that of `boto3.client("dynamodb")`."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import get_type_hints

from benchmarks.harness.report import Section, Settings, Table, interleaved
from local.checkout import ROOT
from retail_pulse.runtime import settings as models

FUNCTIONS = ("authorize", "submit", "process", "status", "reprocess")
# Keeps the SDK from reading the machine's configuration and from searching for credentials.
_AWS = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
_BASELINE = "import boto3; boto3.client('dynamodb')"
_CLOCK = "import sys, time\nbegin = time.process_time()\n{}\nprint(time.process_time() - begin, len(sys.modules))"
_TEXTS = {int: "1", float: "1", str: "x"}


def environment(function: str) -> dict[str, str]:
    """Return environment variables with which a function can be imported. None comes from this process."""
    model = getattr(models, f"{function.capitalize()}Settings")
    kinds = get_type_hints(model)
    variables = {field.name.upper(): _TEXTS.get(kinds[field.name], "") for field in fields(model)}
    return _AWS | variables | {"POWERTOOLS_SERVICE_NAME": function, "POWERTOOLS_METRICS_NAMESPACE": "RetailPulse"}


def run(code: str, function: str | None = None, *options: str) -> str:
    """Run code in a new interpreter where `app` is the handler of a function, and return its output."""
    folders = [ROOT / "layers" / "common", *([ROOT / "functions" / function] if function else [])]
    variables = _AWS if function is None else environment(function)
    path = os.pathsep.join(map(str, folders))
    done = subprocess.run(
        [sys.executable, *options, "-c", code],
        env={"PYTHONPATH": path} | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def _milliseconds(code: str, function: str | None, *options: str) -> float:
    return 1000 * float(run(_CLOCK.format(code), function, *options).split()[0])


def _modules(code: str, function: str | None) -> int:
    return int(run(_CLOCK.format(code), function).split()[1])


def _without_bytecode(folder: Path) -> tuple[str, ...]:
    """Return options of an interpreter that finds bytecode of the standard library only.

    Parameters
    ----------
    folder
        An empty folder for that bytecode.
    """
    cache = ("-X", f"pycache_prefix={folder}")
    for name in FUNCTIONS:
        run("import app", name, *cache)
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
    return Section(
        "Cold start",
        "CPU time of importing each handler, which creates its clients and reads its settings, in a new interpreter "
        "and without the interpreter's own start: medians of runs in turns. There is no bound; "
        "tests/functions/test_imports.py checks what a handler imports. *Without bytecode* is what a cold start would "
        "take if only the packages' sources were shipped; docs/operations.md says how they are shipped.",
        tables=[
            Table(
                "Import of each handler",
                ("what", "import", "against boto3", "without bytecode", "modules"),
                rows,
                detail=True,
            )
        ],
    )
