"""`pulse login`: saves the URL of a service and an API key."""

import sys
from typing import Annotated

import typer

from pulse import config
from pulse.client import ServiceError
from pulse.commands.options import calling
from pulse.errors import PulseError
from pulse.output import note, out


def login(
    url: Annotated[str, typer.Option("--url", envvar="PULSE_URL", help="URL of the service.")],
    key_stdin: Annotated[
        bool, typer.Option("--key-stdin", help="Read the API key from standard input, for scripts.")
    ] = False,
) -> None:
    """Ask for an API key, try it, and save it with the URL in a file that only you can read."""
    checked = config.checked_url(url)
    access = config.Access(checked, config.checked_key(_key(is_piped=key_stdin)))
    with calling(access) as client:
        try:
            who = f"client {client.read('/api/usage')['client']}"
        except ServiceError as error:
            # A key that may only submit is a valid one.
            if error.code != "missing_scope":
                raise
            who = "a client whose key may only submit"
    path = config.config_path()
    config.save(path, access)
    out(f"Logged in to {access.url} as {who}")
    note(f"The key is saved in {path}")


def _key(*, is_piped: bool) -> str:
    if is_piped:
        return sys.stdin.read()
    if not sys.stdin.isatty():
        raise PulseError("Cannot ask for the key without a terminal.", "give it on standard input, with --key-stdin")
    key: str = typer.prompt("API key (not shown)", hide_input=True, err=True)
    return key
