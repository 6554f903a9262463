"""What commands show: results on standard output; notes, progress and problems on standard error."""

import contextlib
import errno
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pulse.client import ServiceError, UnreachableError
from pulse.errors import ExitCode, PulseError
from pulse.visits import Finding

# Without a terminal, lines are not folded at 80 characters.
_PIPE_WIDTH: Final = 160
# Between two columns of a table.
GAP: Final = 3
_SHOWN_PROBLEMS: Final = 50
_SHOWN_ROWS: Final = 8
STATUS_STYLES: Final = {"completed": "green", "failed": "red", "ongoing": "yellow", "measured": "green"}


class _Console(Console):
    def on_broken_pipe(self) -> None:
        # In place of rich's exit with 1, which would tell of failed images.
        raise BrokenPipeError(errno.EPIPE, "the reader has gone")


def _console(*, stderr: bool = False) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _PIPE_WIDTH
    # Numbers and URLs in colours of their own would be noise.
    return _Console(stderr=stderr, width=width, highlight=False, soft_wrap=not stream.isatty())


def out(*lines: str | Text | Table) -> None:
    """Print results."""
    with whole_pipe():
        for line in lines:
            _console().print(line, markup=False)


def result_width() -> int:
    """Return how many columns there are for results."""
    return _console().width


def note(*lines: str | Text | Table) -> None:
    """Print what is not a result."""
    for line in lines:
        notes().print(line, markup=False)


def notes() -> Console:
    """Return the console of notes and progress."""
    return _console(stderr=True)


def show_error(error: PulseError) -> None:
    """Print an error: what failed, and what to do."""
    note(Text.assemble(("Error: ", "bold red"), error.text))
    if error.hint:
        note(f"  {error.hint[0].upper()}{error.hint[1:]}")


@contextlib.contextmanager
def whole_pipe() -> Iterator[None]:
    """End the command in peace when the reader of its output has gone, as `head` does."""
    try:
        yield
    except BrokenPipeError:
        # Python would flush into the closed pipe once more at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(ExitCode.FINE) from None


def print_json(document: Any, path: Path | None = None) -> None:
    """Print one JSON document, or write it into a file."""
    write([json.dumps(document, ensure_ascii=False, indent=2).encode("utf-8", "replace") + b"\n"], path)


def write(pieces: Iterable[bytes], path: Path | None) -> None:
    """Write bytes to standard output, or into a file that appears when all of them are there."""
    if path is None:
        with whole_pipe():
            sys.stdout.flush()
            for piece in pieces:
                sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
        return
    partial = Path(f"{path}.part")
    try:
        if path.exists() and not path.is_file():
            # A device or a pipe, as /dev/stdout, is written into, not replaced.
            partial = path
        with partial.open("wb") as file:
            for piece in pieces:
                file.write(piece)
        partial.replace(path)
    except (ServiceError, UnreachableError):
        # They are OSErrors, too.
        raise
    except OSError as error:
        raise PulseError(f"{path} cannot be written: {error.strerror}.", "choose another FILE") from None
    finally:
        if partial != path:
            partial.unlink(missing_ok=True)


def table(*columns: str, right: Sequence[str] = (), fold: Sequence[str] = ()) -> Table:
    """Return an empty table; numbers are aligned at the right, and only some columns are folded."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", show_edge=False)
    for column in columns:
        justify = "right" if column in right else "left"
        overflow = "fold" if column in fold else "ellipsis"
        made.add_column(column, justify=justify, overflow=overflow, no_wrap=column not in fold)  # type: ignore[arg-type]
    return made


def status_text(status: str) -> Text:
    """Return a status or an outcome in its colour."""
    return Text(status, STATUS_STYLES.get(status, ""))


def local_time(text: str | None) -> str:
    """Return a time of the service in the zone of this machine."""
    if text is None:
        return "-"
    try:
        return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return text


def show_findings(name: str, problems: Sequence[Finding], warnings: Sequence[Finding]) -> None:
    """Print the problems and warnings of a file, each with its place and what to do."""
    if problems:
        note(Text(f"{name}: {counted(len(problems), 'problem')}", "bold red"))
        shown = table("Row", "Column", "Problem", "How to fix it", right=["Row"], fold=["Problem", "How to fix it"])
        for finding in problems[:_SHOWN_PROBLEMS]:
            shown.add_row(*(Text(cell) for cell in _cells(finding)))
        note(shown)
        if len(problems) > _SHOWN_PROBLEMS:
            note(f"… and {len(problems) - _SHOWN_PROBLEMS:,} more; --json prints all of them")
    kinds: dict[tuple[str, str], list[Finding]] = {}
    for finding in warnings:
        kinds.setdefault((finding.column.rpartition(".")[2], finding.fix), []).append(finding)
    for (column, fix), found in kinds.items():
        like_it = " and the like" if any(each.problem != found[0].problem for each in found) else ""
        text = f"{column} {found[0].problem}{like_it}, in {_places(found)}; {fix}"
        note(Text.assemble(("Warning: ", "yellow"), text))


def _cells(finding: Finding) -> tuple[str, str, str, str]:
    row = "" if finding.row is None else str(finding.row)
    return row, finding.column, finding.problem, finding.fix


def _places(found: Sequence[Finding]) -> str:
    rows = [str(each.row) if each.row is not None else each.column.rpartition(".")[0] for each in found[:_SHOWN_ROWS]]
    more = f" and {len(found) - _SHOWN_ROWS:,} more" if len(found) > _SHOWN_ROWS else ""
    return f"{'row ' if len(found) == 1 else 'rows '}{', '.join(rows)}{more}"


def counted(count: int, noun: str) -> str:
    """Return a number with its noun, in the plural if need be."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
