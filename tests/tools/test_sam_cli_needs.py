"""`make test-sam-cli` when something that it needs is missing."""

import sys
from pathlib import Path

import pytest

from tests.sam import test_deployment
from tests.support.checkout import run


def test_without_the_sam_cli_it_fails_and_says_so(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-m", "sam_cli", "tests/sam")
    done = run(*command, PATH=str(tmp_path))

    assert done.returncode == 1
    assert "sam deploy needs the SAM CLI" in done.stdout + done.stderr


def test_without_a_build_it_fails_and_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "sam").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(test_deployment, "BUILD", tmp_path / "build")

    with pytest.raises(pytest.exit.Exception, match="make build") as caught:
        test_deployment.check_needs()

    assert caught.value.returncode == 1
