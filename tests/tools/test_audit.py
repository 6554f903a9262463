"""make audit: a vulnerability fails; a missing answer from the service fails only where one is required."""

import json
from typing import Any

import pytest

from tools.audit import judge


def report(*packages: dict[str, Any]) -> str:
    return json.dumps({"dependencies": packages, "fixes": []})


SOUND = {"name": "pillow", "version": "13.0.0", "vulns": []}
FLAWED = {"name": "idna", "version": "3.6", "vulns": [{"id": "PYSEC-2024-60", "fix_versions": ["3.7"]}]}
UNKNOWN = {"name": "own", "skip_reason": "Dependency not found"}


def test_a_known_vulnerability_fails_and_names_the_release_that_fixes_it() -> None:
    assert judge(report(SOUND, FLAWED), "", required=False) == (1, "audit: idna 3.6: PYSEC-2024-60, fixed in 3.7")


def test_packages_without_a_vulnerability_pass() -> None:
    assert judge(report(SOUND), "", required=True) == (0, "audit: no known vulnerability in 1 packages")


@pytest.mark.parametrize("required", [False, True])
def test_no_answer_is_one_line_and_fails_only_where_an_answer_is_required(required: bool) -> None:
    code, line = judge("", "Traceback\n  ...\nConnectionError: Failed to resolve\n", required=required)

    assert code == int(required)
    assert line == "audit: skipped, no answer from the vulnerability service: ConnectionError: Failed to resolve"


@pytest.mark.parametrize("required", [False, True])
def test_packages_without_data_are_named(required: bool) -> None:
    assert judge(report(SOUND, UNKNOWN), "", required=required) == (int(required), "audit: no data on own")


def test_an_empty_lock_fails() -> None:
    assert judge(report(), "", required=False) == (1, "audit: the lock has no packages")


def test_a_vulnerability_without_a_fix_says_so() -> None:
    unfixed = FLAWED | {"vulns": [{"id": "PYSEC-2024-60", "fix_versions": []}]}
    assert judge(report(unfixed), "", required=False)[1].endswith("PYSEC-2024-60, fixed in no release")
