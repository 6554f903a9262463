"""The walls between the rooms: `make check` fails on an import in the wrong direction."""

import re
import shutil
import sys
import tomllib
from pathlib import Path

import pytest

from local.checkout import COMMON_LAYER, ROOT
from tests.support.checkout import run, text

LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")


def lint(folder: Path) -> tuple[int, str]:
    """Return the exit code and the output of the linter on a copy of the package."""
    command = (LINT_IMPORTS, "--no-cache", "--no-logo", ROOT / "pyproject.toml")
    done = run(*command, folder=folder, PYTHONPATH=str(folder))
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(COMMON_LAYER / "retail_pulse", tmp_path / "retail_pulse", ignore=ignored)
    return tmp_path


def test_make_check_runs_the_linter() -> None:
    recipe = text("Makefile").partition("\ncheck:")[2].partition("\n\n")[0]
    assert "$(BIN)/lint-imports" in recipe


def test_the_package_keeps_every_contract(copy: Path) -> None:
    status, output = lint(copy)
    assert status == 0, output
    assert " kept, 0 broken" in output


def test_the_architecture_page_quotes_the_contracts() -> None:
    (quoted,) = re.findall(r"^```toml\n(.*?)^```$", text("docs/architecture.md"), re.MULTILINE | re.DOTALL)
    project = tomllib.loads(text("pyproject.toml"))

    assert tomllib.loads(quoted) == {"tool": {"importlinter": project["tool"]["importlinter"]}}


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("domain/jobs.py", "from retail_pulse.storage import values", "one way BROKEN"),
        ("use_cases/reading.py", "from retail_pulse.storage import items", "one way BROKEN"),
        ("storage/queue.py", "from retail_pulse.api import answers", "one way BROKEN"),
        ("measuring/fetch.py", "from retail_pulse.runtime import settings", "one way BROKEN"),
        ("measuring/formats/png.py", "from retail_pulse.measuring.download import policy", "apart BROKEN"),
        ("domain/chunks.py", "import requests", "no library BROKEN"),
        ("use_cases/submission.py", "import boto3", "no library BROKEN"),
        ("newcomer.py", "", "one way BROKEN"),
    ],
)
def test_a_wrong_import_or_a_file_outside_the_rooms_fails(copy: Path, module: str, line: str, contract: str) -> None:
    with (copy / "retail_pulse" / module).open("a", encoding="utf-8") as file:
        file.write(f"\n{line}\n")
    status, output = lint(copy)
    assert status == 1
    assert contract in output
