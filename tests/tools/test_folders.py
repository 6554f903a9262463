"""tests/README.md has a row for each folder of tests."""

import re

from local.checkout import ROOT

TESTS = ROOT / "tests"


def test_folders_and_rows_are_the_same() -> None:
    rows = re.findall(r"^\| `(\w+)/` \|", (TESTS / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    # A folder that was moved away may still contain caches.
    folders = {path.parent.name for path in TESTS.glob("*/*") if path.is_file()} - {"__pycache__"}

    assert sorted(rows) == sorted(folders)
