"""make guard: a broken rule, a needless exception and a template that checkov cannot read fail."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.checkout import TEMPLATE
from tools import guard
from tools.guard import EXCEPTIONS, GuardError, judge, scan

EXCEPTED = "CKV_AWS_27"


def found(rule: str) -> dict[str, Any]:
    return {
        "check_id": rule,
        "check_name": "Ensure it",
        "resource": "AWS::SQS::Queue.ChunkQueue",
        "file_line_range": [12, 30],
    }


def report(*failed: str, passed: int = 3, unread: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "results": {
            "passed_checks": [found("CKV_AWS_1")] * passed,
            "failed_checks": [found(rule) for rule in failed],
            "parsing_errors": list(unread),
        }
    }


def test_a_template_that_breaks_only_excepted_rules_passes() -> None:
    reports = {"a.yaml": report(EXCEPTED), "b.json": report()}

    assert judge(reports, [EXCEPTED]) == (0, "guard: 6 checks passed, 1 rules excepted")


def test_a_broken_rule_is_named_with_its_place() -> None:
    assert judge({"a.yaml": report(EXCEPTED, "CKV_AWS_28")}, [EXCEPTED]) == (
        1,
        "guard: a.yaml:12: AWS::SQS::Queue.ChunkQueue: CKV_AWS_28 Ensure it",
    )


def test_an_exception_that_is_no_longer_needed_fails() -> None:
    assert judge({"a.yaml": report()}, [EXCEPTED]) == (1, f"guard: .checkov.yaml: {EXCEPTED} is no longer needed")


@pytest.mark.parametrize(
    "unread",
    [
        # checkov's reports, with exit code 0, on a file that is not a template, and on one that it cannot parse.
        {"passed": 0, "failed": 0, "skipped": 0, "parsing_errors": 0, "resource_count": 0},
        report(passed=0, unread=("b.json",)),
        report(unread=("b.json",)),
    ],
)
def test_a_template_that_checkov_cannot_read_fails(unread: dict[str, Any]) -> None:
    assert judge({"a.yaml": report(), "b.json": unread}, []) == (1, "guard: b.json: checkov could not read it")


def test_every_exception_has_its_reason_above_it() -> None:
    text = EXCEPTIONS.read_text(encoding="utf-8")
    reasons = re.findall(r"(?:^ +# .+\n)+ +- (\w+)$", text, re.MULTILINE)

    assert reasons == yaml.safe_load(text)["skip-check"]


def test_a_checkov_that_is_missing_fails_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert guard.main([str(tmp_path / "checkov")]) == 1

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("guard: no report from checkov on template.yaml: ")


def test_a_checkov_that_prints_no_json_fails(tmp_path: Path) -> None:
    program = tmp_path / "checkov"
    program.write_text(f"#!{sys.executable}\nprint('Traceback')\n", encoding="utf-8")
    program.chmod(0o700)

    with pytest.raises(GuardError, match=r"no report from checkov on template\.yaml"):
        scan(program, TEMPLATE, tmp_path)
