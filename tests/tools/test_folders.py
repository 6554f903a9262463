"""tests/README.md has a row for each folder of tests."""

import re

from tests.support.checkout import ROOT, text


def test_folders_and_rows_are_the_same() -> None:
    rows = re.findall(r"^\| `(\w+)/` \|", text("tests/README.md"), re.MULTILINE)
    # A folder that was moved away may still contain caches.
    folders = {path.parent.name for path in ROOT.glob("tests/*/*") if path.is_file()} - {"__pycache__"}

    assert sorted(rows) == sorted(folders)
