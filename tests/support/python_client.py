"""A Python client of the API, generated from docs/openapi.json."""

import os
import sys
from pathlib import Path

from tests.support.checkout import run

PACKAGE = "retail_pulse_client"
_PROGRAMS = Path(sys.executable).parent


def generate(folder: Path) -> Path:
    """Generate the package into a folder; fail on any warning of the generator. Return the package's folder."""
    package = folder / PACKAGE
    done = run(
        _PROGRAMS / "openapi-python-client", "generate", "--path", "docs/openapi.json", "--output-path", package,
        "--meta", "none", "--fail-on-warning",
        # The generator formats its code by ruff, and warns where there is none.
        PATH=f"{_PROGRAMS}{os.pathsep}{os.environ['PATH']}",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return package
