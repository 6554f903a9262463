"""tests/README.md has a row for each folder of tests."""

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]


def test_every_folder_of_tests_has_its_row_and_no_row_lacks_its_folder() -> None:
    rows = re.findall(r"^\| `(\w+)/` \|", (TESTS / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    # A folder that a move has left behind holds caches only.
    folders = {path.parent.name for path in TESTS.glob("*/*") if path.is_file()} - {"__pycache__"}

    assert sorted(rows) == sorted(folders)
