"""`.ci/run` with programs that stand for the real ones: what it runs, and how it ends."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def put_program(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout of .ci/run alone, whose programs write down how they are called."""
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
    """Return its status, what it says last, and what it has called."""
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


def test_containers_are_swept_at_the_end(checkout: Path) -> None:
    status, output, calls = run(checkout)
    assert status == 0
    assert calls[-2:] == ["make test-sam-local", "setup sweep"]
    assert "=== done" in output
    assert "FAILED" not in output


def test_containers_are_swept_after_a_failure_whose_status_stays(checkout: Path) -> None:
    status, output, calls = run(checkout, fails="test-sam-local")
    assert status == 3
    assert calls[-1] == "setup sweep"
    assert "=== FAILED in make test-sam-local" in output
    assert "=== done" not in output


def test_what_fails_before_there_are_containers_sweeps_nothing(checkout: Path) -> None:
    status, output, calls = run(checkout, fails="demo")
    assert status == 3
    assert calls[-1] == "make demo"
    assert "=== FAILED in make demo" in output
