"""Committed files must work on every machine: they name no path of one machine and no package index."""

import re
import subprocess
from pathlib import Path

import pytest

from local.checkout import ROOT

MACHINE_PATHS = re.compile(rb"(?<![\w.{}$*-])/(?:root|work|home/[a-z]+)/")
INDEX_HOSTS = re.compile(rb"pypi\.org|pythonhosted\.org|devpi|artifactory", re.IGNORECASE)
INDEX_OPTIONS = re.compile(rb"--(?:extra-)?index-url|--find-links|--trusted-host")


def tracked_files() -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    paths = [ROOT / name for name in listed.decode().split("\0") if name]
    # This file contains what it searches for.
    return [path for path in paths if path.is_file() and path != Path(__file__).resolve()]


def lines_with(pattern: re.Pattern[bytes]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.decode(errors='replace').strip()}"
        for path in tracked_files()
        for number, line in enumerate(path.read_bytes().splitlines(), start=1)
        if pattern.search(line)
    ]


def test_no_tracked_file_names_a_path_of_one_machine() -> None:
    assert lines_with(MACHINE_PATHS) == []


def test_no_tracked_file_names_a_package_index() -> None:
    assert lines_with(INDEX_HOSTS) == []


def test_no_tracked_file_tells_pip_where_to_look() -> None:
    assert lines_with(INDEX_OPTIONS) == []


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b"cd /root/app", True),
        (b'"/work/main"', True),
        (b"file:///home/me/notes", True),
        (b"https://example.com/home/me/notes", False),
        (b"docs/work/plan.md", False),
    ],
)
def test_a_machine_path_is_distinguished_from_a_part_of_another_path(line: bytes, found: bool) -> None:
    assert bool(MACHINE_PATHS.search(line)) is found
