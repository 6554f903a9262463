"""What `sam local` needs of the machine, and what of it is missing."""

import shutil
import subprocess
from collections.abc import Sequence

_ANSWER_SECONDS = 20


class MissingError(RuntimeError):
    """Something that `sam local` needs is not here; the text names all of it in one line."""


def check() -> None:
    """Look for the SAM CLI, the Python that the layers are built with, and a Docker that answers.

    Raises
    ------
    MissingError
        One of them is missing, or does not run.
    """
    needs = {
        "the SAM CLI (`sam` on PATH)": ["sam", "--version"],
        # A shim of pyenv's has the name also where the version is not installed: it has to run.
        "python3.13 (on PATH; `sam build` compiles with it)": ["python3.13", "-c", ""],
        "make": ["make", "--version"],
        "Docker (the daemon has to answer `docker info`)": ["docker", "info"],
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
