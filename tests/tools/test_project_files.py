"""Workflows, hooks and decisions: existing make targets, pinned actions, and pages of the same form."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.checkout import ROOT
from tests.support.checkout import ROOT, text

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
HOOKS = ROOT / ".pre-commit-config.yaml"
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
SECTIONS = ["Context", "Decision", "Alternatives considered", "Consequences"]
RECIPES = dict(re.findall(r"^([a-z-]+):.*\n((?:\t.*\n)*)", text("Makefile"), re.MULTILINE))

every_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)


def load(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def steps(path: Path) -> Iterator[dict[str, Any]]:
    for job in load(path)["jobs"].values():
        yield from job.get("steps", [])


def commands(path: Path) -> Iterator[str]:
    yield from (step["run"] for step in steps(path) if "run" in step)


def hooks() -> list[dict[str, Any]]:
    return [hook for repository in load(HOOKS)["repos"] for hook in repository["hooks"]]


def test_dependabot_updates_the_actions() -> None:
    updates = load(ROOT / ".github" / "dependabot.yml")["updates"]
    assert [update["package-ecosystem"] for update in updates] == ["github-actions"]


@every_workflow
def test_every_make_target_that_is_called_is_in_the_makefile(path: Path) -> None:
    called = [target for command in commands(path) for target in re.findall(r"\bmake ([a-z-]+)", command)]
    assert called
    assert set(called) <= RECIPES.keys()


@every_workflow
def test_workflows_run_only_make_targets_apart_from_the_deployment(path: Path) -> None:
    assert [each for each in commands(path) if not re.match(r"(make [a-z]|sam deploy )", each)] == []


def test_the_jobs_of_ci_run_every_test() -> None:
    """Check that the job `stack` runs exactly what the job `unit` ignores."""
    called = {command.split()[1] for command in commands(ROOT / ".github" / "workflows" / "ci.yml")}
    ignored = re.findall(r"--ignore (\S+)", RECIPES["test-unit"])
    run = re.findall(r"(tests/\S+)", RECIPES["test-stack"])

    assert {"check", "test-unit", "test-stack"} <= called
    assert ignored
    assert ignored == run
    assert all((ROOT / folder).is_dir() for folder in run)


def test_a_deployment_waits_for_all_of_ci_on_the_same_commit() -> None:
    jobs = load(ROOT / ".github" / "workflows" / "deploy.yml")["jobs"]

    assert jobs["deploy"]["needs"] == "ci"
    # A path without a version: the workflow of the same commit.
    assert jobs["ci"] == {"uses": "./.github/workflows/ci.yml"}
    # YAML 1.1 reads the key `on` as true.
    assert "workflow_call" in load(ROOT / ".github" / "workflows" / "ci.yml")[True]  # type: ignore[index]


def test_workflows_use_the_sam_cli_that_was_tried() -> None:
    tried = re.findall(r"tried with ([\d.]+)", text("docs/sam-local.md"))
    set_up = [
        step["with"]["version"] for path in WORKFLOWS for step in steps(path) if "setup-sam@" in step.get("uses", "")
    ]
    assert len(set_up) == 3
    assert set(set_up) == set(tried)


@every_workflow
def test_actions_are_pinned_by_their_commit(path: Path) -> None:
    used = [step["uses"] for step in steps(path) if "uses" in step]
    assert used
    assert [action for action in used if not re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", action)] == []


@every_workflow
def test_workflows_may_only_read_unless_a_job_says_more(path: Path) -> None:
    assert load(path)["permissions"] == {"contents": "read"}


def test_a_deployment_uses_a_token_instead_of_a_stored_key() -> None:
    path = ROOT / ".github" / "workflows" / "deploy.yml"
    job = load(path)["jobs"]["deploy"]

    assert job["permissions"]["id-token"] == "write"
    assert job["environment"] == "prod"
    assert "secrets." not in path.read_text(encoding="utf-8")


def test_deployments_name_stages_of_samconfig() -> None:
    config = tomllib.loads(text("samconfig.toml"))
    named = {
        stage
        for path in WORKFLOWS
        for command in commands(path)
        for stage in re.findall(r"--config-env (\w+)", command)
    }
    assert named == {"prod"}
    assert named <= config.keys()


def test_hooks_at_a_commit_check_only_the_changed_files() -> None:
    assert load(HOOKS)["default_stages"] == ["pre-commit"]
    assert {tuple(hook["stages"]) for hook in hooks() if "stages" in hook} == {("pre-push",)}
    assert [hook["id"] for hook in hooks() if "stages" not in hook and not hook.get("pass_filenames", True)] == []


def test_hooks_run_locked_programs_and_download_nothing() -> None:
    locked = re.findall(r"^([\w.-]+)==", text("requirements.lock"), re.MULTILINE)
    programs = {shlex.split(hook["entry"])[0] for hook in hooks() if hook["language"] == "system"}

    assert {repository["repo"] for repository in load(HOOKS)["repos"]} == {"local"}
    assert {hook["language"] for hook in hooks()} == {"system", "pygrep"}
    assert programs - {f".venv/bin/{name}" for name in locked} == {"sh"}


@pytest.mark.parametrize(
    ("text", "found_by"),
    [
        ("", []),
        ("a line\n", []),
        ("a blank before its end \n", ["whitespace"]),
        ("a tab before its end\t\n", ["whitespace"]),
        ("from Windows\r\n", ["whitespace"]),
        ("<<<<<<< HEAD\n", ["whitespace"]),
        ("without a newline", ["end-of-file"]),
        ("one newline too many\n\n", ["end-of-file"]),
    ],
)
def test_hooks_find_whitespace_where_it_does_not_belong(text: str, found_by: list[str]) -> None:
    found = []
    for hook in hooks():
        if hook["language"] == "pygrep":
            # Like pre-commit's pygrep: line by line, or the whole file.
            whole = "--multiline" in hook.get("args", [])
            parts = [text] if whole else text.splitlines(keepends=True)
            flags = re.MULTILINE | re.DOTALL if whole else re.NOFLAG
            if any(re.search(hook["entry"], part, flags) for part in parts):
                found.append(hook["id"])
    assert found == found_by


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.name)
def test_a_decision_is_dated_and_short_and_in_the_index(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    title = re.match(rf"# {int(path.name[:4])}\. (.+)\n\nDecided on (\d{{4}}-\d\d-\d\d)\b", text)

    assert title
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS
    assert len(text.splitlines()) <= 50
    row = f"| [{int(path.name[:4])}]({path.name}) | {title[1]} | {title[2]} |"
    assert row in (path.parent / "README.md").read_text(encoding="utf-8")
