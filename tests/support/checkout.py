"""The files of the checkout, and commands that run in it or in a copy."""

import os
import subprocess
from pathlib import Path

import pytest

from local.checkout import ROOT


def text(name: str) -> str:
    """Return the content of a file of the checkout."""
    return (ROOT / name).read_text(encoding="utf-8")


def tracked_files(*patterns: str) -> list[Path]:
    """Return the files that git tracks, or skip the test outside a git checkout."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    names = run("git", "ls-files", "-z", *patterns).stdout.split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def run(*command: str | Path, folder: Path = ROOT, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end, with further environment variables, and return its status and output."""
    return subprocess.run(command, cwd=folder, env=os.environ | variables, capture_output=True, text=True, check=False)


def write_program(path: Path, script: str) -> None:
    """Write an executable file that starts with ``#!``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(script, encoding="utf-8")
    path.chmod(0o755)
