"""The file with the AWS settings of a running stack, for a shell to source; only its user can read it."""

import os
import re
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from local.emulator.emulator import AWS_VARIABLES, REGION, credentials

_NAME = "aws.env"
_SECRET = re.compile(r"^export AWS_ACCESS_KEY_ID=(\w+)$", re.MULTILINE)
# Any of these would change the account, the region or the endpoint that the file sets.
_FOREIGN = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN")


class NoStackError(Exception):
    """The user has no running stack at a URL."""


def folder_prefix(port: int) -> str:
    """Return how the name of a stack's private folder begins, in the system's temporary folder."""
    return f"retail-pulse-{port}-"


def write(private: Path, url: str, secret: str) -> Path:
    """Write the file into a stack's private folder; return its path."""
    variables = AWS_VARIABLES | credentials(secret) | {"AWS_REGION": REGION, "AWS_ENDPOINT_URL": url}
    lines = [f"unset {' '.join(_FOREIGN)}", *(f"export {name}={value}" for name, value in variables.items())]
    path = private / _NAME
    path.touch(mode=0o600)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def find(url: str) -> Path:
    """Return the file of this user's stack at a URL.

    Raises
    ------
    NoStackError
        There is none in this system's temporary folder.
    """
    prefix = folder_prefix(urlsplit(url).port or 80)
    # Anyone may put a folder of that name there, and a stack that was killed may have left an older one behind.
    own = [path for path in Path(tempfile.gettempdir()).glob(f"{prefix}*/{_NAME}") if _is_own(path)]
    if not own:
        raise NoStackError(f"no embedded stack of this user runs at {url}")
    return max(own, key=lambda path: path.stat().st_mtime)


def find_secret(url: str) -> str:
    """Return the secret of this user's stack at a URL, or raise as `find`."""
    found = _SECRET.search(find(url).read_text(encoding="utf-8"))
    if found is None:
        raise NoStackError(f"{find(url)} has no credentials of a stack")
    return found[1]


def _is_own(path: Path) -> bool:
    return {each.lstat().st_uid for each in (path.parent, path)} == {os.getuid()}
