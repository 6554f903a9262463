"""The command line: its commands and their help."""

from typing import Annotated

import typer

from pulse import __version__
from pulse.commands import changes, lists, login, submit

app = typer.Typer(
    help="Submit store visits to Retail Pulse, follow them, and get the results.",
    epilog="Exit codes: 0 fine, 1 the job has failed images, 2 bad input, 3 no service or refused, 130 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    submit.submit, lists.jobs, lists.status, lists.results, changes.fix, changes.retry, lists.images, lists.visits,
    login.login,
):  # fmt: skip
    app.command()(command)


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"pulse {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass
