"""make audit: a vulnerability fails; a missing answer from the service fails only where one is required."""

import json
from typing import Any

import pytest

from tools.audit import judge

SOUND = {"name": "pillow", "version": "13.0.0", "vulns": []}
FLAWED = {"name": "idna", "version": "3.6", "vulns": [{"id": "PYSEC-2024-60", "fix_versions": ["3.7"]}]}
UNFIXED = FLAWED | {"vulns": [{"id": "PYSEC-2024-60", "fix_versions": []}]}
UNKNOWN = {"name": "own", "skip_reason": "Dependency not found"}


@pytest.mark.parametrize(
    ("packages", "required", "code", "message"),
    [
        ([SOUND, FLAWED], False, 1, "idna 3.6: PYSEC-2024-60, fixed in 3.7"),
        ([UNFIXED], False, 1, "idna 3.6: PYSEC-2024-60, fixed in no release"),
        ([SOUND], True, 0, "no known vulnerability in 1 packages"),
        ([SOUND, UNKNOWN], False, 0, "no data on own"),
        ([SOUND, UNKNOWN], True, 1, "no data on own"),
        ([], False, 1, "the lock has no packages"),
    ],
)
def test_the_report_of_pip_audit(packages: list[dict[str, Any]], required: bool, code: int, message: str) -> None:
    report = json.dumps({"dependencies": packages, "fixes": []})
    assert judge(report, "", required=required) == (code, f"audit: {message}")


@pytest.mark.parametrize("required", [False, True])
def test_no_answer_is_one_line_and_fails_only_where_an_answer_is_required(required: bool) -> None:
    code, line = judge("", "Traceback\n  ...\nConnectionError: Failed to resolve\n", required=required)

    assert code == int(required)
    assert line == "audit: skipped, no answer from the vulnerability service: ConnectionError: Failed to resolve"
