"""The lock and what is exported from it, as committed; no test here asks an index."""

import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools import locks
from tools.locks import (
    GUARD,
    HEADER,
    ROOT,
    LockError,
    Project,
    differences,
    export_layer,
    pins,
    resolve_guard_lock,
    resolve_lock,
)

PROJECT = Project(ROOT)
LOCK = PROJECT.lock.read_text(encoding="utf-8")
LAYER = PROJECT.layer.read_text(encoding="utf-8")
GUARD_LOCK = PROJECT.guard_lock.read_text(encoding="utf-8")
GROUPS: dict[str, list[str]] = tomllib.loads(PROJECT.manifest.read_text(encoding="utf-8"))["dependency-groups"]
HASH = re.compile(r" {4}--hash=sha256:[0-9a-f]{64}( \\)?")

every_file = pytest.mark.parametrize("text", [LOCK, LAYER, GUARD_LOCK], ids=["lock", "layer", "guard"])
both_locks = pytest.mark.parametrize("text", [LOCK, GUARD_LOCK], ids=["lock", "guard"])


def requirements(text: str) -> list[Requirement]:
    return [Requirement(pin) for pin in sorted(pins(text))]


def versions(text: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for requirement in requirements(text):
        (specifier,) = requirement.specifier
        found.setdefault(canonicalize_name(requirement.name), set()).add(specifier.version)
    return found


class TestTheCommittedFiles:
    @every_file
    def test_say_that_make_lock_generates_them(self, text: str) -> None:
        assert text.startswith(HEADER)
        assert "make lock" in HEADER

    @every_file
    def test_hold_exact_versions_alone(self, text: str) -> None:
        assert [r for r in requirements(text) if r.url or [s.operator for s in r.specifier] != ["=="]] == []

    @every_file
    def test_hold_hashes_for_every_package(self, text: str) -> None:
        lines = text.removeprefix(HEADER).splitlines()
        for line, following in zip(lines, [*lines[1:], ""], strict=True):
            assert HASH.fullmatch(line) or (line.endswith(" \\") and HASH.fullmatch(following)), line

    @every_file
    def test_name_no_host_and_no_option(self, text: str) -> None:
        assert "://" not in text
        assert set(re.findall(r"(?<!\S)--?[a-z-]+", text.removeprefix(HEADER))) == {"--hash"}

    @pytest.mark.parametrize("group", GROUPS)
    def test_the_lock_fits_what_each_group_asks_for(self, group: str) -> None:
        locked = versions(GUARD_LOCK if group == GUARD else LOCK)
        for asked in map(Requirement, GROUPS[group]):
            found = locked.get(canonicalize_name(asked.name), set())
            assert found, f"{asked} is not in the lock"
            assert all(version in asked.specifier for version in found), f"{asked} is locked at {found}"

    def test_the_layer_holds_every_package_that_the_functions_ask_for(self) -> None:
        asked = {canonicalize_name(Requirement(line).name) for line in GROUPS["functions"]}
        assert asked <= set(versions(LAYER))

    def test_the_layer_has_the_versions_and_the_hashes_of_the_lock(self) -> None:
        assert blocks(LAYER).items() <= blocks(LOCK).items()

    def test_the_layer_leaves_out_what_only_the_local_stack_and_the_tests_need(self) -> None:
        assert not {"ministack", "moto", "pytest", "mypy", "uv", "cfn-lint"} & set(versions(LAYER))

    @both_locks
    def test_a_lock_has_no_package_twice_for_one_python(self, text: str) -> None:
        here = {name: str(value) for name, value in default_environment().items()}
        for python in ("3.11", "3.12", "3.13", "3.14"):
            marks = {**here, "python_version": python, "python_full_version": f"{python}.0"}
            names = [r.name for r in requirements(text) if r.marker is None or r.marker.evaluate(marks)]
            assert len(names) == len(set(names))


def blocks(text: str) -> dict[str, str]:
    """Return the hashes of every pin."""
    return dict(re.findall(r"^([a-z0-9][^ ]+)[^\n]*\\\n((?: {4}--hash=[^\n]+\n)+)", text, flags=re.MULTILINE))


class TestDifferences:
    def test_are_none_between_equal_texts(self) -> None:
        assert differences(LOCK, LOCK) == ""

    def test_name_what_comes_and_what_goes_in_one_line(self) -> None:
        before = "six==1.16.0 \\\n    --hash=sha256:00\n"
        after = "idna==3.20 \\\n    --hash=sha256:11\nsix==1.17.0 \\\n    --hash=sha256:22\n"
        assert differences(before, after) == "adds idna==3.20, six==1.17.0; removes six==1.16.0"

    def test_tell_a_changed_hash_from_a_changed_version(self) -> None:
        text = differences("six==1.17.0 \\\n    --hash=sha256:00\n", "six==1.17.0 \\\n    --hash=sha256:11\n")
        assert text == "hashes, order or comments differ"


@dataclass
class Uv:
    """Stands in for uv: writes what a test wants into the output file, and keeps what it was asked."""

    answer: str = "six==1.17.0 \\\n    --hash=sha256:00\n"
    error: str = ""

    def __post_init__(self) -> None:
        self.commands: list[list[str]] = []
        self.kept: list[str] = []

    def __call__(self, command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        output = Path(command[command.index("--output-file") + 1])
        self.commands.append(command)
        self.kept.append(output.read_text(encoding="utf-8"))
        output.write_text(self.answer, encoding="utf-8")
        return subprocess.CompletedProcess(command, 2 if self.error else 0, "", self.error)


@pytest.fixture
def uv(monkeypatch: pytest.MonkeyPatch) -> Uv:
    stand_in = Uv()
    monkeypatch.setattr("tools.locks.subprocess.run", stand_in)
    return stand_in


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A checkout whose files say what `Uv` answers."""
    (tmp_path / "pyproject.toml").write_text(PROJECT.manifest.read_text(encoding="utf-8"), encoding="utf-8")
    found = Project(tmp_path)
    found.layer.parent.mkdir(parents=True)
    found.lock.write_text(HEADER + Uv.answer, encoding="utf-8")
    found.layer.write_text(HEADER + Uv.answer, encoding="utf-8")
    found.guard_lock.write_text(HEADER + Uv.answer, encoding="utf-8")
    monkeypatch.setattr("tools.locks.ROOT", tmp_path)
    return found


class TestResolving:
    def test_keeps_the_present_pins(self, uv: Uv, project: Project) -> None:
        resolve_lock(project)
        assert uv.kept == [HEADER + uv.answer]

    def test_upgrading_forgets_them(self, uv: Uv, project: Project) -> None:
        resolve_lock(project, upgrade=True)
        assert uv.kept == [""]

    def test_the_guard_has_a_lock_of_its_own_and_its_own_pins(self, uv: Uv, project: Project) -> None:
        project.guard_lock.write_text(f"{HEADER}six==1.16.0\n", encoding="utf-8")
        resolve_lock(project)
        resolve_guard_lock(project)
        of_all, of_guard = (
            {argument.rpartition(":")[2] for option, argument in pairwise(command) if option == "--group"}
            for command in uv.commands
        )
        assert of_all == GROUPS.keys() - {GUARD}
        assert of_guard == {GUARD}
        assert uv.kept == [HEADER + uv.answer, f"{HEADER}six==1.16.0\n"]

    def test_serves_the_oldest_python_whatever_runs_it(self, uv: Uv, project: Project) -> None:
        resolve_lock(project)
        (command,) = uv.commands
        assert command[command.index("--python-version") + 1] == "3.11"

    def test_never_downloads_a_python(self, uv: Uv, project: Project) -> None:
        export_layer(project, LOCK)
        assert all("--no-python-downloads" in command and sys.executable in command for command in uv.commands)

    def test_exports_the_layer_for_both_architectures(self, uv: Uv, project: Project) -> None:
        export_layer(project, LOCK)
        platforms = {command[command.index("--python-platform") + 1].partition("-")[0] for command in uv.commands}
        assert platforms == {"aarch64", "x86_64"}

    def test_what_does_not_resolve_is_an_error_with_uvs_own_words(self, uv: Uv, project: Project) -> None:
        uv.error = "no solution"
        with pytest.raises(LockError, match="no solution"):
            resolve_lock(project)


@pytest.mark.usefixtures("uv")
class TestTheCommand:
    def test_check_is_content_with_files_that_are_up_to_date(self, project: Project) -> None:
        assert locks.main(["--check"]) == 0

    def test_check_names_every_stale_file_in_one_line_and_leaves_it_alone(
        self, project: Project, capsys: pytest.CaptureFixture[str]
    ) -> None:
        project.lock.write_text(f"{HEADER}six==1.16.0\n", encoding="utf-8")
        project.layer.write_text(f"{HEADER}six==1.16.0\n", encoding="utf-8")
        project.guard_lock.write_text(f"{HEADER}six==1.16.0\n", encoding="utf-8")

        assert locks.main(["--check"]) == 1

        assert capsys.readouterr().err.splitlines() == [
            f"{name}: adds six==1.17.0; removes six==1.16.0 (run `make lock`)"
            for name in ("requirements.lock", "layers/dependencies/requirements.txt", "requirements-guard.lock")
        ]
        assert "six==1.16.0" in project.lock.read_text(encoding="utf-8")

    def test_without_check_the_files_are_written(self, project: Project) -> None:
        project.lock.unlink()
        project.layer.unlink()
        project.guard_lock.unlink()

        assert locks.main([]) == 0
        assert locks.main(["--check"]) == 0

    def test_an_index_that_does_not_answer_is_one_line_and_status_2(
        self, uv: Uv, project: Project, capsys: pytest.CaptureFixture[str]
    ) -> None:
        uv.error = "connection refused\n"
        assert locks.main(["--check"]) == 2
        assert capsys.readouterr().err == "Could not resolve the dependencies: connection refused\n"
