"""What is written in the repository: spelling, by codespell as pyproject.toml sets it up."""

import subprocess
import sys
from pathlib import Path

import pytest

from local.checkout import ROOT


def tracked_files() -> list[str]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    return [name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()]


def misspellings(files: list[str]) -> list[str]:
    command = [sys.executable, "-m", "codespell_lib", *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_tracked_files_are_spelled_correctly() -> None:
    assert misspellings(tracked_files()) == []


def test_a_misspelled_word_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    # In two parts, or this file would be found too.
    page.write_text("rec" + "ieve\n", encoding="utf-8")
    assert len(misspellings([str(page)])) == 1
