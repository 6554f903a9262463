"""Commands that read: jobs, a job, its results, images and visits over all jobs."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.text import Text

from pulse.client import Client, Query
from pulse.commands.options import (
    Area,
    Csv,
    Failed,
    From,
    JobId,
    Json,
    Key,
    Output,
    Store,
    To,
    Url,
    checked_job,
    connected,
)
from pulse.commands.reports import is_without_failures, show_job
from pulse.errors import ExitCode, PulseError
from pulse.output import GAP, counted, local_time, note, notes, out, print_json, result_width, status_text, table, write
from pulse.watch import watch

_SHOWN_ROWS: Final = 100
# So wide at least is a column that is folded.
_FOLDED_WIDTH: Final = 20


class _Status(StrEnum):
    ONGOING = "ongoing"
    COMPLETED = "completed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class _List:
    """A list of the API: where it is, the field that has its rows, and how a terminal shows them."""

    path: str
    field: str
    columns: Mapping[str, Callable[[Mapping[str, Any]], str | Text]]
    noun: str
    right: tuple[str, ...] = ()
    fold: tuple[str, ...] = ()
    # What a narrow terminal leaves out, the first one first.
    drop: tuple[str, ...] = ()
    page: int = 1000
    # The field of a row that has rows of its own, as a store has visits; each is shown with the row around it.
    nested: str = ""

    def show(self, client: Client, query: Query, form: "_Form", first: int = _SHOWN_ROWS) -> None:
        """Show the list in a form; a terminal gets only the first rows."""
        query = {"limit": self.page, **{name: value for name, value in query.items() if value is not None}}
        if form.is_json:
            print_json({self.field: list(client.rows(self.path, self.field, query))}, form.path)
        elif form.is_csv:
            write(client.csv_pages(self.path, query), form.path)
        else:
            query = {**query, "limit": min(first + 1, self.page)}
            self._show_table(list(islice(self._flat(client.rows(self.path, self.field, query)), first + 1)), first)
        if form.path:
            note(f"Saved {form.path}")

    def _flat(self, rows: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for row in rows:
            yield from (row | inner for inner in row[self.nested]) if self.nested else (row,)

    def _show_table(self, rows: list[dict[str, Any]], first: int) -> None:
        if not rows:
            note(f"There are no {self.noun}.")
            return
        cells = {name: [_text(of(row)) for row in rows[:first]] for name, of in self.columns.items()}
        hidden = self._without_room(cells)
        shown = table(*(name for name in cells if name not in hidden), right=self.right, fold=self.fold)
        for row in zip(*(column for name, column in cells.items() if name not in hidden), strict=True):
            shown.add_row(*row)
        out(shown)
        if hidden:
            note(f"Not shown: {', '.join(hidden)}. A wider terminal or -o FILE has them.")
        if len(rows) > first:
            note(f"These are the first {first:,}; -o FILE saves all of them.")

    def _without_room(self, cells: Mapping[str, list[Text]]) -> list[str]:
        """Return the columns to leave out, so that no number of a job is cut off."""
        widths = {name: max(len(name), *(cell.cell_len for cell in column)) for name, column in cells.items()}
        widths |= {name: min(_FOLDED_WIDTH, widths[name]) for name in self.fold}
        hidden: list[str] = []
        for name in self.drop:
            if sum(widths.values()) + (len(widths) - 1) * GAP <= result_width():
                break
            del widths[name]
            hidden.append(name)
        return hidden


@dataclass(frozen=True, slots=True)
class _Form:
    """In which form a list is shown, and in which file."""

    is_json: bool
    is_csv: bool
    path: Path | None

    @classmethod
    def of(cls, as_json: bool, as_csv: bool, path: Path | None) -> "_Form":
        """Return the form that options ask for."""
        if as_json and as_csv:
            raise PulseError("--json and --csv exclude each other.", "give only one of them")
        if path is not None and not as_json and not as_csv:
            as_json = path.suffix.lower() == ".json"
            as_csv = not as_json
        return cls(as_json, as_csv, path)


def _text(cell: str | Text) -> Text:
    return cell if isinstance(cell, Text) else Text(cell)


def _number(value: Any) -> str:
    return "-" if value is None else f"{value:,}"


def _reason(row: Mapping[str, Any]) -> str:
    error = row["error"] or row["last_error"]
    return f"{error['code']}: {error['message']}" if error else ""


_JOBS = _List(
    "/api/jobs",
    "jobs",
    {
        "Job": lambda row: row["job_id"],
        "Status": lambda row: status_text(row["status"]),
        "Progress": lambda row: f"{int(row['progress'] * 100)} %",
        "Submitted": lambda row: local_time(row["created_at"]),
        "Visits": lambda row: _number(row["visits"]),
        "Images": lambda row: _number(row["images"]),
        "File": lambda row: " ".join(filter(None, [row["metadata"].get("file"), _part(row["metadata"].get("part"))])),
    },
    "jobs",
    right=("Progress", "Visits", "Images"),
    fold=("File",),
    drop=("Progress", "Visits"),
    page=100,
)
_RESULT_COLUMNS: Mapping[str, Callable[[Mapping[str, Any]], str | Text]] = {
    "Store": lambda row: row["store_id"],
    "Visit": lambda row: row["visit_time"],
    "Image": lambda row: row["url"],
    "Outcome": lambda row: Text("failed", "red") if row["outcome"] == "failed" else status_text(row["outcome"]),
    "Perimeter": lambda row: _number(row["perimeter"]),
    "Reason": _reason,
}
_RESULT_STYLE: Mapping[str, Any] = {
    "right": ("Perimeter",),
    "fold": ("Image", "Reason"),
    "drop": ("Visit", "Outcome", "Perimeter"),
}
_IMAGES = _List(
    "/api/images", "images", {"Job": lambda row: row["job_id"], **_RESULT_COLUMNS}, "such images", **_RESULT_STYLE
)
_VISITS = _List(
    "/api/visits",
    "results",
    {
        "Store": lambda row: row["store_id"],
        "Name": lambda row: row["store_name"],
        "Area": lambda row: row["area"],
        "Visit": lambda row: row["date"] or "-",
        "Perimeter": lambda row: _number(row["perimeter"]),
    },
    "such visits",
    right=("Perimeter",),
    fold=("Name",),
    drop=("Area",),
    nested="data",
)


def _part(title: str | None) -> str:
    return f"({title})" if title else ""


def jobs(
    status: Annotated[_Status | None, typer.Option("--status", help="Only jobs with this status.")] = None,
    start: From = None,
    end: To = None,
    as_csv: Csv = False,
    as_json: Json = False,
    output: Output = None,
    url: Url = None,
    key: Key = None,
) -> None:
    """List the jobs, newest first."""
    form = _Form.of(as_json, as_csv, output)
    with connected(url, key) as client:
        _JOBS.show(client, {"status": status, "from": start, "to": end}, form, first=50)


def status(
    job: JobId,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the job has ended, and show the progress.")] = False,
    as_json: Json = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Show how far a JOB is, and why images failed."""
    job_id = checked_job(job)
    with connected(url, key) as client:
        try:
            details = watch(client, {job_id: "Job"}, notes())[job_id] if wait else client.job(job_id)
        except KeyboardInterrupt:
            hint = f"`pulse status {job_id} --wait` waits again"
            raise PulseError(f"Interrupted; job {job_id} goes on.", hint, code=ExitCode.INTERRUPTED) from None
        if as_json:
            print_json(details)
        else:
            show_job(client, details, with_times=True)
    raise typer.Exit(ExitCode.FINE if is_without_failures(details) else ExitCode.FAILED_IMAGES)


def results(
    job: JobId,
    failed: Failed = False,
    as_csv: Csv = False,
    as_json: Json = False,
    output: Output = None,
    url: Url = None,
    key: Key = None,
) -> None:
    """Show or save the results of a JOB, one row per image."""
    job_id, form = checked_job(job), _Form.of(as_json, as_csv, output)
    noun = "failed images" if failed else "images"
    listing = _List(f"/api/jobs/{job_id}/results", "results", _RESULT_COLUMNS, noun, **_RESULT_STYLE)
    with connected(url, key) as client:
        details = client.job(job_id)
        if details["status"] == "ongoing":
            note(f"Job {job_id} has not ended: {counted(details['images']['pending'], 'image')} pending.")
        listing.show(client, {"outcome": "failed" if failed else None}, form)
    raise typer.Exit(ExitCode.FINE if is_without_failures(details) else ExitCode.FAILED_IMAGES)


def images(
    start: From = None,
    end: To = None,
    area: Area = None,
    store: Store = None,
    failed: Failed = False,
    as_csv: Csv = False,
    as_json: Json = False,
    output: Output = None,
    url: Url = None,
    key: Key = None,
) -> None:
    """List the images of all jobs, the newest job first."""
    form = _Form.of(as_json, as_csv, output)
    query = {"from": start, "to": end, "area": area, "store_id": store, "outcome": "failed" if failed else None}
    with connected(url, key) as client:
        _IMAGES.show(client, query, form)


def visits(
    area: Area = None,
    store: Store = None,
    start: From = None,
    end: To = None,
    as_csv: Csv = False,
    as_json: Json = False,
    output: Output = None,
    url: Url = None,
    key: Key = None,
) -> None:
    """List the visits whose images are all measured, by store and time."""
    form = _Form.of(as_json, as_csv, output)
    query = {"area": area, "storeid": store, "startdate": start, "enddate": end}
    with connected(url, key) as client:
        _VISITS.show(client, query, form)
