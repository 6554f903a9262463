"""The file that a shell sources to reach a running stack, and how commands find it."""

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from local.stack.shell_file import NoStackError, find, find_secret, folder_prefix, write

URL = "http://127.0.0.1:8080"


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def started(temporary: Path, name: str, secret: str, port: int = 8080) -> Path:
    folder = temporary / (folder_prefix(port) + name)
    folder.mkdir()
    return write(folder, f"http://127.0.0.1:{port}", secret)


def test_a_shell_that_sources_it_has_the_settings_of_the_stack_and_none_of_the_host(temporary: Path) -> None:
    path = started(temporary, "a", "s1")
    host = {"PATH": os.environ["PATH"], "AWS_PROFILE": "mine", "AWS_SESSION_TOKEN": "t", "AWS_ACCESS_KEY_ID": "AKIA"}

    shown = subprocess.run(
        ["sh", "-c", f". '{path}'; env"], env=host, capture_output=True, text=True, check=True
    ).stdout

    found = dict(line.partition("=")[::2] for line in shown.splitlines())
    assert (found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"], found["AWS_ENDPOINT_URL"]) == ("s1", "s1", URL)
    assert not {"AWS_PROFILE", "AWS_SESSION_TOKEN"} & found.keys()


def test_only_its_user_can_read_it(temporary: Path) -> None:
    assert started(temporary, "a", "s1").stat().st_mode & 0o777 == 0o600


def test_a_stack_is_found_by_its_port(temporary: Path) -> None:
    started(temporary, "a", "other", port=80801)
    path = started(temporary, "b", "s1")

    assert find(URL) == path
    assert find_secret("http://localhost:8080/") == "s1"


def test_what_a_killed_stack_left_behind_does_not_hide_a_later_one(temporary: Path) -> None:
    for second, name in enumerate("xay"):
        os.utime(started(temporary, name, name), (second, second))
    assert find_secret(URL) == "y"


@pytest.mark.parametrize("url", [URL, "https://abc.execute-api.us-east-1.amazonaws.com"])
def test_a_stack_that_does_not_run_is_an_error_that_names_the_url(temporary: Path, url: str) -> None:
    with pytest.raises(NoStackError, match=url):
        find_secret(url)


def test_a_folder_of_another_user_is_not_believed(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = started(temporary, "a", "theirs")
    monkeypatch.setattr(os, "getuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(NoStackError):
        find_secret(URL)
