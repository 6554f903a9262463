"""A Python client from the description: it is complete, compiles, and has types that hold.

tests/stack/test_generated_client.py uses it.
"""

import compileall
import sys
from pathlib import Path

import pytest

from tests.support.checkout import run
from tests.support.description import DESCRIPTION
from tests.support.python_client import PACKAGE, generate

# The generator's own template of this module does not pass; its code for the API does.
MYPY = f"[mypy]\nstrict = true\n[mypy-{PACKAGE}.client]\nignore_errors = true\n"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("client"))


def test_every_operation_has_a_module_in_the_folder_of_its_tag(package: Path) -> None:
    modules = {path.relative_to(package / "api").as_posix() for path in package.glob("api/*/[!_]*.py")}
    assert modules == {
        "jobs/submit_job.py", "jobs/get_job_status.py", "jobs/list_jobs.py", "jobs/get_job.py", "jobs/list_results.py",
        "jobs/retry_job.py", "reports/list_images.py", "reports/list_visits.py", "service/get_usage.py",
        "service/get_health.py",
    }  # fmt: skip
    assert len(modules) == sum(map(len, DESCRIPTION["paths"].values()))


def test_each_kind_of_value_has_one_model(package: Path) -> None:
    models = {path.stem for path in (package / "models").glob("[!_]*.py")}
    assert {name for name in models if name.endswith(("status", "outcome_kind", "format", "metadata"))} == {
        "job_status", "outcome_kind", "list_format", "metadata", "submit_body_metadata",
    }  # fmt: skip


def test_the_client_compiles_and_passes_strict_type_checks(package: Path) -> None:
    assert compileall.compile_dir(package, quiet=1)
    (package.parent / "mypy.ini").write_text(MYPY, encoding="utf-8")
    done = run(sys.executable, "-m", "mypy", "--cache-dir", ".cache", package.name, folder=package.parent)
    assert done.returncode == 0, done.stdout
