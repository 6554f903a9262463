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
    for program in ("bin/make", "bin/chromium", "bin/sam", "bin/python3.13", "shared/sam-local/setup.sh"):
        write_program(tmp_path / program, record)
    (tmp_path / "env").touch()

    path = f"{tmp_path / 'bin'}:/bin:/usr/bin"
    done = run("bash", ".ci/run", folder=tmp_path / "checkout", PATH=path, SAMLOCAL_HOME=str(tmp_path), FAILS=fails)

    assert done.returncode == status
    assert output in done.stdout
    assert ("=== done" in done.stdout, "=== FAILED" in done.stdout) == (status == 0, status != 0)
    assert (tmp_path / "calls").read_text().replace(".sh", "").splitlines()[-len(end) :] == end


@pytest.mark.parametrize(
    ("installed", "apt_get", "tested", "output"),
    [
        (True, None, True, "=== make test-browser ("),
        # What apt-get installs is a file of the folder of programs.
        (False, 'case "$1" in install) cp bin/make bin/chromium;; esac', True, "=== make test-browser ("),
        (False, "exit 100", False, "=== make test-browser: skipped, there is no Chromium"),
        (False, None, False, "=== make test-browser: skipped, there is no Chromium"),
    ],
    ids=["there is one", "apt-get installs one", "apt-get fails", "there is no apt-get"],
)
def test_the_browser_tests_run_where_chromium_is_or_can_be_installed(
    tmp_path: Path, installed: bool, apt_get: str | None, tested: bool, output: str
) -> None:
    # GIVEN a checkout with only .ci/run, and no program but those of a folder
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci" / "run")
    for program in ("bash", "cp", "dirname"):
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / program).symlink_to(str(shutil.which(program)))
    write_program(tmp_path / "bin" / "make", '#!/bin/sh\necho "make $1" >>calls\n')
    if installed:
        write_program(tmp_path / "bin" / "chromium", "#!/bin/sh\n")
    if apt_get:
        write_program(tmp_path / "bin" / "apt-get", f"#!/bin/sh\n{apt_get}\n")

    done = run("bash", ".ci/run", folder=tmp_path, PATH=str(tmp_path / "bin"))

    assert done.returncode == 0, done.stdout + done.stderr
    assert output in done.stdout
    assert ("make test-browser" in (tmp_path / "calls").read_text().splitlines()) is tested
