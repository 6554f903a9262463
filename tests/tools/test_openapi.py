"""The API's description: valid OpenAPI, every schema used, and a check that finds a file that is out of date."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from retail_pulse import VERSION
from tests.support.checkout import text
from tools import openapi


def test_the_description_is_valid_openapi_and_uses_every_schema() -> None:
    description = openapi.describe()
    OpenAPIV31SpecValidator(description).validate()
    used = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(description)))
    assert used == set(description["components"]["schemas"])


def test_the_check_finds_a_file_that_is_missing_or_out_of_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(openapi, "FILE", tmp_path / "openapi.json")
    assert openapi.main(["--check"]) == 1
    assert openapi.main([]) == 0
    assert openapi.main(["--check"]) == 0
    openapi.FILE.write_text(openapi.FILE.read_text("utf-8").replace("Submit a job", "Submit"), encoding="utf-8")
    assert openapi.main(["--check"]) == 1
    assert "openapi.json is out of date: run `make openapi`" in capsys.readouterr().err


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads(text("pyproject.toml"))["project"]
    assert project["version"] == VERSION == openapi.describe()["info"]["version"]
