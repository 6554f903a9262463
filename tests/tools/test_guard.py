"""make guard: a broken rule, a needless exception and a template that checkov cannot read fail."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.checkout import TEMPLATE
from tests.support.checkout import write_program
from tools import guard
from tools.guard import EXCEPTIONS, GuardError, judge, scan

EXCEPTED = "CKV_AWS_27"


def found(rule: str) -> dict[str, Any]:
    place = {"resource": "AWS::SQS::Queue.ChunkQueue", "file_line_range": [12, 30]}
    return {"check_id": rule, "check_name": "Ensure it", **place}


def report(*failed: str, passed: int = 3, unread: tuple[str, ...] = ()) -> dict[str, Any]:
    checks = {"passed_checks": [found("CKV_AWS_1")] * passed, "failed_checks": [found(rule) for rule in failed]}
    return {"results": {**checks, "parsing_errors": list(unread)}}


# checkov's report, with exit code 0, on a file that is not a template.
NO_TEMPLATE = {"passed": 0, "failed": 0, "skipped": 0, "parsing_errors": 0, "resource_count": 0}
UNREAD = "b.json: checkov could not read it"


@pytest.mark.parametrize(
    ("a", "b", "code", "message"),
    [
        (report(EXCEPTED), report(), 0, "6 checks passed, 1 rules excepted"),
        (report(EXCEPTED, "CKV_1"), report(), 1, "a.yaml:12: AWS::SQS::Queue.ChunkQueue: CKV_1 Ensure it"),
        (report(), report(), 1, f".checkov.yaml: {EXCEPTED} is no longer needed"),
        (report(), NO_TEMPLATE, 1, UNREAD),
        (report(), report(passed=0, unread=("b.json",)), 1, UNREAD),
        (report(), report(unread=("b.json",)), 1, UNREAD),
    ],
    ids=["only excepted rules", "a broken rule", "a needless exception", "no template", "unread", "partly unread"],
)
def test_the_reports_of_checkov(a: dict[str, Any], b: dict[str, Any], code: int, message: str) -> None:
    assert judge({"a.yaml": a, "b.json": b}, [EXCEPTED]) == (code, f"guard: {message}")


def test_every_exception_has_its_reason_above_it() -> None:
    text = EXCEPTIONS.read_text(encoding="utf-8")
    reasons = re.findall(r"(?:^ +# .+\n)+ +- (\w+)$", text, re.MULTILINE)

    assert reasons == yaml.safe_load(text)["skip-check"]


def test_a_checkov_that_is_missing_fails_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert guard.main([str(tmp_path / "checkov")]) == 1

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("guard: no report from checkov on template.yaml: ")


def test_a_checkov_that_prints_no_json_fails(tmp_path: Path) -> None:
    write_program(tmp_path / "checkov", "#!/bin/sh\necho Traceback\n")

    with pytest.raises(GuardError, match=r"no report from checkov on template\.yaml"):
        scan(tmp_path / "checkov", TEMPLATE, tmp_path)
