"""Committed files must work on every machine: they name no path of one machine and no package index."""

import re
from pathlib import Path

import pytest

from local.checkout import ROOT
from tests.support.checkout import tracked_files

MACHINE_PATHS = re.compile(rb"(?<![\w.{}$*-])/(?:root|work|home/[a-z]+)/")
INDEX_HOSTS = re.compile(rb"pypi\.org|pythonhosted\.org|devpi|artifactory", re.IGNORECASE)
INDEX_OPTIONS = re.compile(rb"--(?:extra-)?index-url|--find-links|--trusted-host")


@pytest.mark.parametrize("pattern", [MACHINE_PATHS, INDEX_HOSTS, INDEX_OPTIONS], ids=["path", "host", "option"])
def test_no_tracked_file_names_a_machine_or_a_package_index(pattern: re.Pattern[bytes]) -> None:
    assert [
        f"{path.relative_to(ROOT)}:{number}: {line.decode(errors='replace').strip()}"
        for path in tracked_files()
        # This file contains what it searches for.
        if path != Path(__file__).resolve()
        for number, line in enumerate(path.read_bytes().splitlines(), start=1)
        if pattern.search(line)
    ] == []


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b"cd /" + b"root/app", True),
        (b'"/' + b'work/main"', True),
        (b"file:///" + b"home/me/notes", True),
        (b"https://example.com/" + b"home/me/notes", False),
        (b"docs/" + b"work/plan.md", False),
    ],
)
def test_a_machine_path_is_distinguished_from_a_part_of_another_path(line: bytes, found: bool) -> None:
    assert bool(MACHINE_PATHS.search(line)) is found
