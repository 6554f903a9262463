"""The package of `pulse`: it stands by itself, and ends quietly whatever happens."""

import ast
import os
import re
import subprocess
import sys
import tomllib

import pytest
from packaging.requirements import Requirement

from local.checkout import PYTHON_PATH, ROOT
from tests.cli.conftest import KEY, Pulse
from tests.cli.service import StandIn
from tests.support.checkout import text

SOURCES = sorted((ROOT / "cli/src/pulse").rglob("*.py"))


def test_it_imports_only_what_it_depends_on() -> None:
    depends = [Requirement(each) for each in tomllib.loads(text("cli/pyproject.toml"))["project"]["dependencies"]]
    imported = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.partition(".")[0])
    assert imported - sys.stdlib_module_names == {"pulse"} | {each.name for each in depends}
    # The checkout runs it with the locked packages.
    locked = dict(re.findall(r"^([\w.-]+)==(\S+)", text("requirements.lock"), re.MULTILINE))
    assert [each.name for each in depends if locked[each.name] not in each.specifier] == []


def test_a_bug_is_two_lines_without_a_traceback_and_without_the_key(
    pulse: Pulse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError(KEY)

    monkeypatch.setattr("pulse.commands.options.Client", broken)
    monkeypatch.delenv("PULSE_TRACEBACK")
    done = pulse.run("jobs")
    assert done.returncode == 3
    assert done.stderr.startswith("Error: pulse has a bug: RuntimeError in broken, line ")
    assert len(done.stderr.splitlines()) == 2


def test_a_reader_that_goes_away_ends_it_in_peace(pulse: Pulse, service: StandIn) -> None:
    rows = [f"S{number},2026-11-23,http://h/{'a' * 200}{number}" for number in range(3_000)]
    pulse.run("submit", pulse.write("a.csv", *rows))
    for form in ([], ["--csv"], ["--json"]):
        command = subprocess.Popen(
            [sys.executable, "-m", "pulse", "results", service.jobs[0].job_id, *form],
            env=os.environ | {"PYTHONPATH": PYTHON_PATH},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        with command:
            assert command.stdout
            assert command.stderr
            command.stdout.close()
            errors = command.stderr.read().decode()
        assert ("Traceback" in errors, "bug" in errors) == (False, False)
        assert command.returncode == 0
