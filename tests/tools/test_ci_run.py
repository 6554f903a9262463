"""`.ci/run` with stand-ins for the programs that it runs: what it calls, and its exit status."""

import shutil
from pathlib import Path

import pytest

from local.checkout import ROOT
from tests.support.checkout import run, write_program


@pytest.mark.parametrize(
    ("fails", "status", "output", "end"),
    [
        ("nothing", 0, "=== done", ["make test-sam-local", "setup sweep"]),
        # Containers are removed, and the status is kept.
        ("test-sam-local", 3, "=== FAILED in make test-sam-local", ["make test-sam-local", "setup sweep"]),
        # There are no containers yet.
        ("demo", 3, "=== FAILED in make demo", ["make demo"]),
    ],
    ids=["success", "failure with containers", "failure before containers"],
)
def test_a_run_keeps_its_status_and_removes_the_containers_that_it_started(
    tmp_path: Path, fails: str, status: int, output: str, end: list[str]
) -> None:
    # GIVEN a checkout with only .ci/run, and programs that record how they are called
    (tmp_path / "checkout" / ".ci").mkdir(parents=True)
    shutil.copy(ROOT / ".ci" / "run", tmp_path / "checkout" / ".ci" / "run")
    record = f"""#!/bin/sh\necho "${{0##*/}}" "$@" >>'{tmp_path}/calls'; [ "$1" != "$FAILS" ] || exit 3\n"""
    for program in ("bin/make", "bin/sam", "bin/python3.13", "shared/sam-local/setup.sh"):
        write_program(tmp_path / program, record)
    (tmp_path / "env").touch()

    path = f"{tmp_path / 'bin'}:/bin:/usr/bin"
    done = run("bash", ".ci/run", folder=tmp_path / "checkout", PATH=path, SAMLOCAL_HOME=str(tmp_path), FAILS=fails)

    assert done.returncode == status
    assert output in done.stdout
    assert ("=== done" in done.stdout, "=== FAILED" in done.stdout) == (status == 0, status != 0)
    assert (tmp_path / "calls").read_text().replace(".sh", "").splitlines()[-len(end) :] == end
