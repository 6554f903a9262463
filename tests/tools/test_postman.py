"""The Postman collection: every operation of the description, every variable defined, and up to date."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.description import DESCRIPTION
from tools import postman

COLLECTION = postman.collection()


def requests(items: Any) -> Iterator[Any]:
    """Yield all requests of a part of the collection."""
    for item in items:
        if "item" in item:
            yield from requests(item["item"])
        else:
            yield item


def test_every_operation_is_a_request_with_all_of_its_parameters() -> None:
    written = len(yaml.safe_load((postman.DOCS / "postman" / "source.yaml").read_text("utf-8"))["folders"])
    found = {}
    for item in requests(COLLECTION["item"][written:]):
        sent = item["request"]
        path = "/" + "/".join(sent["url"]["path"]).replace("{{jobId}}", "{job_id}")
        parameters = [each["key"] for each in (*sent["header"], *sent["url"].get("query", ()))]
        found[sent["method"], path] = set(parameters) - {"Content-Type"}
    described = {
        (method.upper(), path): {each["name"] for each in operation.get("parameters", ()) if each["in"] != "path"}
        for path, operations in postman.inlined(DESCRIPTION, DESCRIPTION)["paths"].items()
        for method, operation in operations.items()
    }
    assert found == described


def test_names_are_unique_since_a_request_names_the_next_one() -> None:
    names = [item["name"] for item in requests(COLLECTION["item"])]
    assert sorted(set(names)) == sorted(names)


def test_every_variable_is_defined() -> None:
    defined = {each["key"] for each in COLLECTION["variable"]}
    text = json.dumps(COLLECTION)
    assert set(re.findall(r"\{\{(\w+)\}\}", text)) <= defined
    assert set(re.findall(r'collectionVariables\.[gs]et\(\\"(\w+)', text)) <= defined


def test_a_source_that_does_not_fit_the_description_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "postman").mkdir()
    (tmp_path / "openapi.json").write_text(json.dumps(DESCRIPTION), encoding="utf-8")
    source = (postman.DOCS / "postman" / "source.yaml").read_text("utf-8")
    monkeypatch.setattr(postman, "DOCS", tmp_path)
    for wrong in ({"operation: GET /api/jobs/{job_id}": "operation: GET /jbo"}, {"status: 404": "status: 418"}):
        text = source
        for old, new in wrong.items():
            text = text.replace(f"{old}\n", f"{new}\n")
        (tmp_path / "postman" / "source.yaml").write_text(text, encoding="utf-8")
        with pytest.raises(postman.SourceError, match=re.compile("jbo|418")):
            postman.collection()


def test_the_check_finds_a_file_that_is_missing_or_out_of_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert postman.main(["--check"]) == 0
    monkeypatch.setattr(postman, "FILE", tmp_path / "collection.json")
    assert postman.main(["--check"]) == 1
    assert postman.main([]) == 0
    assert postman.main(["--check"]) == 0
    postman.FILE.write_text(postman.FILE.read_text("utf-8").replace("Submit", "Send"), encoding="utf-8")
    assert postman.main(["--check"]) == 1
    assert "collection.json is out of date: run `make postman`" in capsys.readouterr().err
