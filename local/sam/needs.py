"""Checks what `sam local` needs from the machine."""

import shutil
import subprocess
from collections.abc import Sequence

_ANSWER_SECONDS = 20


class MissingError(RuntimeError):
    """Something that `sam local` needs is missing; the text names all of it in one line."""


def check() -> None:
    """Check for the SAM CLI, make, the Python that builds the layers, and a running Docker.

    Raises
    ------
    MissingError
        One of them is missing or does not run.
    """
    needs = {
        "the SAM CLI (`sam` on PATH)": ["sam", "--version"],
        # It must run, because pyenv has a shim of this name even where the version is not installed.
        "python3.13 (on PATH; `sam build` compiles with it)": ["python3.13", "-c", ""],
        "make": ["make", "--version"],
        "Docker (the daemon must answer `docker info`)": ["docker", "info"],
    }
    missing = [name for name, command in needs.items() if not _runs(command)]
    if missing:
        raise MissingError(f"sam local needs {'; '.join(missing)}")


def _runs(command: Sequence[str]) -> bool:
    if shutil.which(command[0]) is None:
        return False
    try:
        return subprocess.run(command, capture_output=True, timeout=_ANSWER_SECONDS, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
