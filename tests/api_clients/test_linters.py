"""Spectral and Redocly on the API's description: nothing to report, and what they would report."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from local.checkout import ROOT
from tests.support.description import DESCRIPTION
from tests.support.node import run_node

SETTINGS = ROOT / "tools/node"
FILE = ROOT / "docs/openapi.json"


def spectral(file: Path) -> list[str]:
    """Return the rules that a description breaks, down to hints."""
    options = ("--ruleset", SETTINGS / "spectral.yaml", "--format", "json", "--quiet", "--fail-severity", "hint")
    done = run_node("spectral", "lint", *options, file)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return [found["code"] for found in json.loads(done.stdout)]


def redocly(file: Path) -> list[str]:
    """Return the rules that a description breaks, down to warnings."""
    done = run_node("redocly", "lint", "--config", SETTINGS / "redocly.yaml", "--format", "json", file)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return [found["ruleId"] for found in json.loads(done.stdout)["problems"]]


def test_spectral_has_nothing_to_report() -> None:
    assert spectral(FILE) == []


def test_redocly_has_nothing_to_report() -> None:
    assert redocly(FILE) == []


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    """A description without a contact and a license, and with an example that is not valid."""
    description: Any = copy.deepcopy(DESCRIPTION)
    del description["info"]["contact"], description["info"]["license"]
    health = description["paths"]["/api/health"]["get"]["responses"]["200"]
    health["content"]["application/json"]["example"] = {"status": "good"}
    file = tmp_path / "openapi.json"
    file.write_text(json.dumps(description), encoding="utf-8")
    return file


def test_a_warning_of_spectral_is_reported(wrong: Path) -> None:
    assert sorted(spectral(wrong)) == ["info-contact", "oas3-valid-media-example"]


def test_a_warning_of_redocly_is_reported(wrong: Path) -> None:
    assert sorted(redocly(wrong)) == ["info-license", "no-invalid-media-type-examples"]
