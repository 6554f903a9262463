"""Options that several commands have, and the client that they lead to."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer

from pulse import config
from pulse.client import Client, ServiceError, UnreachableError
from pulse.errors import PulseError
from pulse.explain import explained
from pulse.output import note

# The waits between them are about two minutes in all.
_ATTEMPTS: Final = 8

Url = Annotated[
    str | None, typer.Option("--url", envvar="PULSE_URL", help="URL of the service.", rich_help_panel="Service")
]
Key = Annotated[
    str | None,
    typer.Option("--key", envvar="PULSE_KEY", help="API key; `pulse login` saves it.", rich_help_panel="Service"),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]
Csv = Annotated[bool, typer.Option("--csv", help="Print CSV on standard output.")]
Output = Annotated[
    Path | None,
    typer.Option("-o", "--output", metavar="FILE", help="Write FILE: CSV, or JSON with --json or a name in .json."),
]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="The job's number, from `pulse submit` or `pulse jobs`.")]
From = Annotated[str | None, typer.Option("--from", metavar="DATE", help="From this date or time on, as 2026-11-23.")]
To = Annotated[
    str | None, typer.Option("--to", metavar="DATE", help="Until the end of this date, or before this time.")
]
Area = Annotated[str | None, typer.Option("--area", help="Only stores of this area.")]
Store = Annotated[str | None, typer.Option("--store", help="Only this store.")]
Failed = Annotated[bool, typer.Option("--failed", help="Only images that failed.")]


@contextmanager
def connected(url: str | None, key: str | None) -> Iterator[Client]:
    """Yield a client of the service, and turn its errors into ones for people."""
    saved, warning = (None, "") if url and key else config.load(config.config_path())
    if warning:
        note(f"Warning: {warning}")
    access = config.find_access(url, key, saved)
    with calling(access) as client:
        yield client


@contextmanager
def calling(access: config.Access) -> Iterator[Client]:
    """Yield a client with a given access; otherwise as `connected`."""
    with Client(access.url, access.key, attempts=_ATTEMPTS, on_wait=_say_wait) as client:
        try:
            yield client
        except (ServiceError, UnreachableError) as error:
            raise explained(error, access.url) from error


def _say_wait(seconds: float, reason: str) -> None:
    note(f"{reason[:1].upper()}{reason[1:]}; repeating the request in {seconds:.0f} s")


def checked_job(text: str) -> str:
    """Return the number of a job, or raise `PulseError`."""
    if not (text.isascii() and text.isdigit() and len(text) <= 16):
        raise PulseError(f"That is not the number of a job: {text!r}", "`pulse jobs` lists them")
    return text
