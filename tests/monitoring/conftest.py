"""What the functions write to the log, observed once for all tests of this folder."""

import json
import subprocess
import sys
from typing import Any

import pytest

from local.checkout import PYTHON_PATH, ROOT
from local.emulator.emulator import AWS_VARIABLES

Line = dict[str, Any]


@pytest.fixture(scope="session")
def printed() -> str:
    """What `tests.monitoring.observed` prints."""
    return subprocess.run(
        [sys.executable, "-m", "tests.monitoring.observed"],
        env=AWS_VARIABLES | {"PYTHONPATH": PYTHON_PATH},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@pytest.fixture(scope="session")
def log_lines(printed: str) -> list[Line]:
    """The log lines, without those of metrics."""
    return [line for line in map(json.loads, printed.splitlines()) if "_aws" not in line]


@pytest.fixture(scope="session")
def metric_lines(printed: str) -> list[Line]:
    """The lines of metrics."""
    return [line for line in map(json.loads, printed.splitlines()) if "_aws" in line]
