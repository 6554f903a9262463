"""`pulse` reads every file of tests/visits_files as expected.json says; tests/browser tests the console with them."""

import json
from typing import Any

import pytest

from local.checkout import ROOT
from pulse.csv_file import read_csv
from pulse.json_file import is_json, read_json

FOLDER = ROOT / "tests" / "visits_files"
EXPECTED: dict[str, Any] = json.loads((FOLDER / "expected.json").read_text(encoding="utf-8"))


def test_each_file_is_expected() -> None:
    assert {path.name for path in FOLDER.iterdir()} - {"expected.json"} == EXPECTED.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_a_file_has_the_expected_visits_problems_and_warnings(name: str) -> None:
    content = (FOLDER / name).read_bytes()

    found = read_json(content) if is_json(content) else read_csv(content)

    assert {
        "visits": [list(visit) for visit in found.visits],
        "problems": [[problem.row, problem.column] for problem in found.problems],
        "warnings": [[warning.row, warning.column] for warning in found.warnings],
    } == EXPECTED[name]
