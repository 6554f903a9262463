"""Keeps folders of the stack from the other users of this machine."""

import os
import stat
from pathlib import Path

# Everything that a process creates from now on is for its user only.
UMASK = 0o077


class NotPrivateError(OSError):
    """A folder cannot be made private; the text says why."""


def make_private(folder: Path, mark: str) -> None:
    """Create a folder for this user only, or remove the other users' permissions from an existing one.

    Parameters
    ----------
    folder
        The folder.
    mark
        A file that only a folder of the stack has: without it, nothing inside the folder is changed.

    Raises
    ------
    NotPrivateError
        It belongs to another user, or every user can write to it.
    OSError
        It cannot be created or changed.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.stat()
    if found.st_uid != os.getuid():
        raise NotPrivateError("it belongs to another user")
    if found.st_mode & stat.S_IWOTH:
        # It holds the code of the functions.
        raise NotPrivateError("every user can write to it, and may have done so; choose another one or remove it")
    _close(folder)
    if (folder / mark).exists():
        for parent, folders, files in os.walk(folder):
            for name in (*folders, *files):
                _close(Path(parent, name))


def _close(path: Path) -> None:
    mode = path.lstat().st_mode
    if mode & UMASK and not stat.S_ISLNK(mode):
        path.chmod(stat.S_IMODE(mode) & ~UMASK)
