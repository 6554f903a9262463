"""State directories are private to their user."""

import os
from pathlib import Path

import pytest

from local.stack.private import NotPrivateError, make_private

MARK = "lock"


def mode(path: Path) -> int:
    return path.lstat().st_mode & 0o777


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A folder as an ordinary umask makes it, with a program and a link to a file elsewhere."""
    folder = tmp_path / "state"
    (folder / "s3").mkdir(parents=True)
    (tmp_path / "elsewhere").touch()
    (folder / "s3" / "program").touch()
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    for path, bits in (("", 0o755), ("s3", 0o775), ("s3/program", 0o755), ("../elsewhere", 0o644)):
        (folder / path).chmod(bits)
    return folder


def test_a_new_folder_is_private(tmp_path: Path) -> None:
    make_private(tmp_path / "a" / "b", MARK)
    assert mode(tmp_path / "a" / "b") == 0o700


def test_a_state_directory_that_others_could_read_is_made_private_with_all_its_files(shared: Path) -> None:
    (shared / MARK).touch()
    (shared / MARK).chmod(0o644)

    make_private(shared, MARK)

    found = {path: mode(shared / path) for path in ("", MARK, "s3", "s3/program", "../elsewhere")}
    # What is not in the directory stays as it is.
    assert found == {"": 0o700, MARK: 0o600, "s3": 0o700, "s3/program": 0o700, "../elsewhere": 0o644}


def test_files_that_are_not_the_stacks_are_not_changed(shared: Path) -> None:
    make_private(shared, MARK)
    assert [mode(shared / path) for path in ("", "s3", "s3/program")] == [0o700, 0o775, 0o755]


def test_a_folder_that_every_user_can_write_to_is_refused(shared: Path) -> None:
    shared.chmod(0o777)
    with pytest.raises(NotPrivateError, match="every user can write to it"):
        make_private(shared, MARK)


def test_a_folder_of_another_user_is_refused(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: shared.stat().st_uid + 1)
    with pytest.raises(NotPrivateError, match="belongs to another user"):
        make_private(shared, MARK)
