"""Workflows, hooks, decisions and folders of tests: existing make targets, pinned actions, complete indexes."""

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.checkout import ROOT
from tests.support.checkout import text

WORKFLOWS: dict[str, dict[str, Any]] = {
    path.name: yaml.safe_load(path.read_text(encoding="utf-8")) for path in (ROOT / ".github/workflows").glob("*.yml")
}
CI, DEPLOY = WORKFLOWS["ci.yml"], WORKFLOWS["deploy.yml"]
PRE_COMMIT = yaml.safe_load(text(".pre-commit-config.yaml"))
HOOKS = [hook for repository in PRE_COMMIT["repos"] for hook in repository["hooks"]]
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
SECTIONS = ["Context", "Decision", "Alternatives considered", "Consequences"]
RECIPES = dict(re.findall(r"^([a-z-]+):.*\n((?:\t.*\n)*)", text("Makefile"), re.MULTILINE))

every_workflow = pytest.mark.parametrize("workflow", WORKFLOWS.values(), ids=WORKFLOWS)


def values(key: str, *workflows: dict[str, Any]) -> list[Any]:
    """Return what the steps of some workflows have under a key, such as ``run``."""
    jobs = [job for workflow in workflows for job in workflow["jobs"].values()]
    return [step[key] for job in jobs for step in job.get("steps", []) if key in step]


def test_dependabot_updates_the_actions() -> None:
    updates = yaml.safe_load(text(".github/dependabot.yml"))["updates"]
    assert [update["package-ecosystem"] for update in updates] == ["github-actions"]


@every_workflow
def test_every_make_target_that_is_called_is_in_the_makefile(workflow: dict[str, Any]) -> None:
    called = re.findall(r"\bmake ([a-z-]+)", "\n".join(values("run", workflow)))
    assert called
    assert set(called) <= RECIPES.keys()


@every_workflow
def test_workflows_run_only_make_targets(workflow: dict[str, Any]) -> None:
    assert [each for each in values("run", workflow) if not re.match(r"make [a-z]", each)] == []


def test_the_jobs_of_ci_run_every_test() -> None:
    """Check that the job `stack` runs exactly what the job `unit` ignores."""
    ignored = re.findall(r"--ignore (\S+)", RECIPES["test-unit"])

    assert {"check", "test-unit", "test-stack"} <= {command.split()[1] for command in values("run", CI)}
    assert ignored
    assert ignored == re.findall(r"(tests/\S+)", RECIPES["test-stack"])
    assert all((ROOT / folder).is_dir() for folder in ignored)


def test_a_deployment_waits_for_all_of_ci_on_the_same_commit() -> None:
    assert DEPLOY["jobs"]["deploy"]["needs"] == "ci"
    # A path without a version: the workflow of the same commit.
    assert DEPLOY["jobs"]["ci"] == {"uses": "./.github/workflows/ci.yml"}
    # YAML 1.1 reads the key `on` as true.
    assert "workflow_call" in CI[True]  # type: ignore[index]


def test_the_locked_sam_cli_is_the_one_that_was_tried_and_is_installed_by_its_hashes() -> None:
    tried = re.findall(r"tried with ([\d.]+\d)", text("docs/sam-local.md"))
    assert re.findall(r"^aws-sam-cli==(\S+)", text("requirements-sam.lock"), re.MULTILINE) == tried
    assert re.search(r"pip install .*--require-hashes -r requirements-sam\.lock", text("Makefile"))


def test_each_job_that_runs_sam_has_installed_the_locked_one_before() -> None:
    by_make = {name for name, recipe in RECIPES.items() if re.search(r"\bsam (build|validate)\b", recipe)}
    needs = by_make | {"deploy", "test-sam-cli", "test-sam-local"}
    assert {"validate", "build"} <= needs
    order = {}
    for name, workflow in WORKFLOWS.items():
        for job, content in workflow["jobs"].items():
            runs = [step["run"].split() for step in content.get("steps", []) if "run" in step]
            kinds = ["install" if run[1] == "sam-cli" else "use" for run in runs if run[1] in needs | {"sam-cli"}]
            if kinds:
                order[name, job] = (kinds[0], set(kinds[1:]))
    assert order == dict.fromkeys(
        [("ci.yml", "template"), ("ci.yml", "sam"), ("deploy.yml", "deploy")], ("install", {"use"})
    )


@every_workflow
def test_no_action_installs_a_program_that_no_hash_pins(workflow: dict[str, Any]) -> None:
    known = {"actions/checkout", "actions/setup-python", "aws-actions/configure-aws-credentials"}
    assert {action.partition("@")[0] for action in values("uses", workflow)} <= known


@every_workflow
def test_actions_are_pinned_by_their_commit(workflow: dict[str, Any]) -> None:
    used = values("uses", workflow)
    assert used
    assert [action for action in used if not re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", action)] == []


@every_workflow
def test_workflows_may_only_read_unless_a_job_says_more(workflow: dict[str, Any]) -> None:
    assert workflow["permissions"] == {"contents": "read"}


def test_a_deployment_uses_a_token_instead_of_a_stored_key() -> None:
    assert DEPLOY["jobs"]["deploy"]["permissions"]["id-token"] == "write"
    assert DEPLOY["jobs"]["deploy"]["environment"] == "prod"
    assert "secrets." not in text(".github/workflows/deploy.yml")


def test_deployments_name_stages_of_samconfig() -> None:
    named = re.findall(r"make deploy .*STAGE=(\w+)", "\n".join(values("run", *WORKFLOWS.values())))
    assert set(named) == {"prod"}
    assert set(named) <= tomllib.loads(text("samconfig.toml")).keys()


def test_hooks_at_a_commit_check_only_the_changed_files() -> None:
    assert PRE_COMMIT["default_stages"] == ["pre-commit"]
    assert {tuple(hook["stages"]) for hook in HOOKS if "stages" in hook} == {("pre-push",)}
    assert [hook["id"] for hook in HOOKS if "stages" not in hook and not hook.get("pass_filenames", True)] == []


def test_hooks_run_locked_programs_and_download_nothing() -> None:
    locked = re.findall(r"^([\w.-]+)==", text("requirements.lock"), re.MULTILINE)
    programs = {shlex.split(hook["entry"])[0] for hook in HOOKS if hook["language"] == "system"}

    assert {repository["repo"] for repository in PRE_COMMIT["repos"]} == {"local"}
    assert {hook["language"] for hook in HOOKS} == {"system", "pygrep"}
    assert programs - {f".venv/bin/{name}" for name in locked} == {"sh"}


@pytest.mark.parametrize(
    ("content", "found_by"),
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
def test_hooks_find_whitespace_where_it_does_not_belong(content: str, found_by: list[str]) -> None:
    found = []
    for hook in HOOKS:
        if hook["language"] == "pygrep":
            # Like pre-commit's pygrep: line by line, or the whole file.
            whole = "--multiline" in hook.get("args", [])
            pattern = re.compile(hook["entry"], re.MULTILINE | re.DOTALL if whole else re.NOFLAG)
            if any(map(pattern.search, [content] if whole else content.splitlines(keepends=True))):
                found.append(hook["id"])
    assert found == found_by


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.name)
def test_a_decision_is_dated_and_short_and_in_the_index(path: Path) -> None:
    page, number = path.read_text(encoding="utf-8"), int(path.name[:4])
    title = re.match(rf"# {number}\. (.+)\n\nDecided on (\d{{4}}-\d\d-\d\d)\b", page)

    assert title
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == SECTIONS
    assert len(page.splitlines()) <= 50
    assert f"| [{number}]({path.name}) | {title[1]} | {title[2]} |" in text("docs/decisions/README.md")


def test_the_readme_of_the_tests_has_a_row_for_each_folder() -> None:
    rows = re.findall(r"^\| `(\w+)/` \|", text("tests/README.md"), re.MULTILINE)
    # A folder that was moved away may still contain caches.
    folders = {path.parent.name for path in ROOT.glob("tests/*/*") if path.is_file()} - {"__pycache__"}

    assert sorted(rows) == sorted(folders)
