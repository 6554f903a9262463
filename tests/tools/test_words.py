"""What is written in the repository: spelling, by codespell as pyproject.toml sets it up."""

import sys
from pathlib import Path

from tests.support.checkout import run, tracked_files


def misspellings(files: list[Path]) -> list[str]:
    done = run(sys.executable, "-m", "codespell_lib", *files)
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_tracked_files_are_spelled_correctly() -> None:
    assert misspellings(tracked_files()) == []


def test_a_misspelled_word_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    # In two parts, or this file would be found too.
    page.write_text("rec" + "ieve\n", encoding="utf-8")
    assert len(misspellings([page])) == 1
