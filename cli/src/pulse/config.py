"""Where the service is and which key opens it: from options, the environment, or the file that `pulse login` writes."""

import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pulse.errors import PulseError

_KEY: Final = re.compile(r"[!-~]{1,1000}")
_LOG_IN: Final = "run `pulse login --url URL`, set PULSE_URL and PULSE_KEY, or give --url and --key"


@dataclass(frozen=True, slots=True)
class Access:
    """The base URL of a service and an API key for it."""

    url: str
    key: str = field(repr=False)


def config_path(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the path of the file that `pulse login` writes."""
    return _folder(environment, "XDG_CONFIG_HOME", ".config") / "config.toml"


def state_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder in which submissions are recorded."""
    return _folder(environment, "XDG_STATE_HOME", ".local/state") / "submissions"


def _folder(environment: Mapping[str, str], variable: str, default: str) -> Path:
    # The XDG specification has relative paths ignored.
    given = Path(environment.get(variable, ""))
    return (given if given.is_absolute() else Path.home() / default) / "pulse"


def find_access(url: str | None, key: str | None, saved: Access | None) -> Access:
    """Return the access to use: what is given, or else what is saved.

    The saved key goes only to the saved URL.

    Raises
    ------
    PulseError
        The URL or the key is missing or invalid.
    """
    if not url and saved is None:
        raise PulseError("The URL of the service is not known.", _LOG_IN)
    wanted = checked_url(url) if url else saved.url if saved else ""
    if key:
        return Access(wanted, checked_key(key))
    if saved is None or saved.url != wanted:
        raise PulseError(f"No API key for {wanted}.", _LOG_IN)
    return saved


def checked_url(text: str) -> str:
    """Return the base URL of a service without a slash at its end, or raise `PulseError`."""
    try:
        parts = urlsplit(text.strip())
        is_valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc
        is_valid = is_valid and parts.port != 0 and not parts.query and not parts.fragment
    except ValueError:
        is_valid = False
    if not is_valid or not text.isprintable():
        raise PulseError(f"The URL of the service is not valid: {text!r}", "it looks like https://abc.example.com")
    return text.strip().rstrip("/")


def checked_key(text: str) -> str:
    """Return an API key without blanks around it, or raise `PulseError`, whose text does not have it."""
    key = text.strip()
    if not _KEY.fullmatch(key):
        raise PulseError("That is not an API key: it is empty or has characters that no key has.", "paste it again")
    return key


def load(path: Path) -> tuple[Access | None, str]:
    """Return what `pulse login` saved, and a warning if others can read it, else an empty text."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            saved = tomllib.load(file)
        access = Access(checked_url(saved["url"]), checked_key(saved["key"]))
    except FileNotFoundError:
        return None, ""
    except (OSError, tomllib.TOMLDecodeError, KeyError, AttributeError, UnicodeDecodeError, PulseError):
        # The reason may quote a line of the file, so the key.
        raise PulseError(f"{path} cannot be read, or does not have url and key.", "run `pulse login` again") from None
    open_to_others = os.name == "posix" and mode & 0o077
    return access, f"{path} has a key that other users can read; run: chmod 600 {path}" if open_to_others else ""


def save(path: Path, access: Access) -> None:
    """Write the access into a file that only its user can read; raise `PulseError` if that fails."""
    # A JSON text of printable ASCII is also one of TOML.
    lines = [
        "# Written by `pulse login`.",
        *(f"{name} = {json.dumps(getattr(access, name))}" for name in ("url", "key")),
    ]
    try:
        write_private(path, "\n".join(lines) + "\n")
    except OSError as error:
        raise PulseError(f"{path} cannot be written: {error.strerror}") from None


def write_private(path: Path, text: str) -> None:
    """Write a file in one step, with mode 0600, in a folder that only its user can enter."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
