"""`.ci/run` with stand-ins for the programs that it runs: what it calls, and its exit status."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from local.checkout import ROOT


def put_program(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with only .ci/run, and programs that record how they are called."""
    checkout = tmp_path / "checkout"
    (checkout / ".ci").mkdir(parents=True)
    shutil.copy(ROOT / ".ci" / "run", checkout / ".ci" / "run")
    for name in ("make", "sam", "python3.13"):
        put_program(
            tmp_path / "bin" / name, f"""echo {name} "$@" >>'{tmp_path}/calls'; [ "$1" != "$FAILS" ] || exit 3"""
        )
    put_program(tmp_path / "shared" / "sam-local" / "setup.sh", f"""echo setup "$@" >>'{tmp_path}/calls'""")
    (tmp_path / "env").touch()
    return checkout


def run(checkout: Path, fails: str = "nothing") -> tuple[int, str, list[str]]:
    """Run it; return its status, its output and its calls."""
    folder = checkout.parent
    done = subprocess.run(
        ["bash", ".ci/run"],
        cwd=checkout,
        env=os.environ | {"PATH": f"{folder / 'bin'}:/bin:/usr/bin", "SAMLOCAL_HOME": str(folder), "FAILS": fails},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, (folder / "calls").read_text().splitlines()


def test_containers_are_removed_at_the_end(checkout: Path) -> None:
    status, output, calls = run(checkout)
    assert status == 0
    assert calls[-2:] == ["make test-sam-local", "setup sweep"]
    assert "=== done" in output
    assert "FAILED" not in output


def test_containers_are_removed_after_a_failure_and_the_status_is_kept(checkout: Path) -> None:
    status, output, calls = run(checkout, fails="test-sam-local")
    assert status == 3
    assert calls[-1] == "setup sweep"
    assert "=== FAILED in make test-sam-local" in output
    assert "=== done" not in output


def test_a_failure_before_there_are_containers_removes_nothing(checkout: Path) -> None:
    status, output, calls = run(checkout, fails="demo")
    assert status == 3
    assert calls[-1] == "make demo"
    assert "=== FAILED in make demo" in output
