"""make audit: a flaw fails, silence of the service only where an answer is required."""

import json
from typing import Any

import pytest

from tools.audit import judge


def report(*packages: dict[str, Any]) -> str:
    return json.dumps({"dependencies": packages, "fixes": []})


SOUND = {"name": "pillow", "version": "13.0.0", "vulns": []}
FLAWED = {"name": "idna", "version": "3.6", "vulns": [{"id": "PYSEC-2024-60", "fix_versions": ["3.7"]}]}
UNKNOWN = {"name": "own", "skip_reason": "Dependency not found"}


def test_a_known_vulnerability_fails_and_says_what_mends_it() -> None:
    assert judge(report(SOUND, FLAWED), "", required=False) == (1, "audit: idna 3.6: PYSEC-2024-60, mended in 3.7")


def test_sound_packages_pass() -> None:
    assert judge(report(SOUND), "", required=True) == (0, "audit: no known vulnerability in 1 packages")


@pytest.mark.parametrize("required", [False, True])
def test_a_service_that_is_not_reached_is_said_in_one_line_and_fails_only_where_it_is_required(required: bool) -> None:
    code, line = judge("", "Traceback\n  ...\nConnectionError: Failed to resolve\n", required=required)

    assert code == int(required)
    assert line == "audit: skipped, no answer of the vulnerability service: ConnectionError: Failed to resolve"


@pytest.mark.parametrize("required", [False, True])
def test_packages_that_nothing_is_known_of_are_not_called_sound(required: bool) -> None:
    assert judge(report(SOUND, UNKNOWN), "", required=required) == (int(required), "audit: nothing is known of own")


def test_an_empty_lock_is_no_sound_one() -> None:
    assert judge(report(), "", required=False)[0] == 1
