"""Loads functions as a cold start does, into this process or into a new one."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Mapping
from types import ModuleType

from local.checkout import COMMON_LAYER, ROOT
from local.emulator.emulator import AWS_VARIABLES
from local.lambda_host.environment import environment

_FUNCTIONS = ROOT / "functions"


def load(function: str) -> ModuleType:
    """Return a new module of a function's app.py, which reads this process's environment."""
    spec = importlib.util.spec_from_file_location(f"{function}_app", _FUNCTIONS / function / "app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_cold(code: str, function: str | None = None, *options: str, variables: Mapping[str, str] | None = None) -> str:
    """Run Python code in a new interpreter, where ``import app`` loads a function, if any; return its output.

    `options` are those of the interpreter. `variables` replace those that the template gives the function.
    """
    folders = [COMMON_LAYER, *([_FUNCTIONS / function] if function else [])]
    if variables is None:
        variables = environment(function) if function else {}
    return subprocess.run(
        [sys.executable, *options, "-c", code],
        env=AWS_VARIABLES | dict(variables) | {"PYTHONPATH": os.pathsep.join(map(str, folders))},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
