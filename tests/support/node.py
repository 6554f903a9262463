"""Commands of the locked npm packages, for tests that skip where `make node` has not installed them."""

from pathlib import Path
from subprocess import CompletedProcess

import pytest

from local.checkout import ROOT
from tests.support.checkout import run

_MODULES = ROOT / "tools/node/node_modules"


def run_node(command: str, *arguments: str | Path, folder: Path = ROOT) -> "CompletedProcess[str]":
    """Run a command of an npm package to its end, or skip the test where the packages are not installed."""
    if not (_MODULES / ".installed").exists():
        pytest.skip(f"{command} is not installed: `make node` installs it where npm is on the PATH")
    quiet = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
    return run(_MODULES / ".bin" / command, *arguments, folder=folder, **quiet)
