"""`pulse fix` and `pulse retry`: what to do about failed images."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from pulse.commands.options import JobId, Json, Key, Url, checked_job, connected
from pulse.csv_file import csv_row
from pulse.errors import PulseError
from pulse.explain import ADVICE
from pulse.output import counted, note, out, print_json, write
from pulse.visits import COLUMNS

_FIX_COLUMNS = (*COLUMNS, "error_code", "error_message", "what_to_do")


def retry(job: JobId, as_json: Json = False, url: Url = None, key: Key = None) -> None:
    """Measure the failed images of a JOB once more, at the same addresses."""
    job_id = checked_job(job)
    with connected(url, key) as client:
        reopened = client.retry(job_id)
    if as_json:
        print_json(reopened)
    else:
        out(f"Job {job_id} is ongoing again, run {reopened['run']}")
        note(f"Next: pulse status {job_id} --wait")


def fix(
    job: JobId,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="The file to write; it must not exist.")
    ],
    url: Url = None,
    key: Key = None,
) -> None:
    """Save the failed images of a JOB as a file of visits, to correct and to submit."""
    job_id = checked_job(job)
    if output.exists():
        raise PulseError(f"{output} exists already.", "choose another FILE, so that no correction is lost")
    with connected(url, key) as client:
        details = client.job(job_id)
        failed = details["images"]["failed"]
        if details["status"] == "ongoing":
            note(f"Job {job_id} has not ended; images that fail later are not in the file.")
        if not failed:
            out(f"Job {job_id} has no failed images; {output} was not written")
            return
        rows = client.rows(f"/api/jobs/{job_id}/results", "results", {"outcome": "failed"})
        write(_lines(rows), output)
    out(f"Saved {counted(failed, 'failed image')} in {output}")
    note(f"Next: correct it (only {', '.join(COLUMNS)} count), then: pulse submit {output}")


def _lines(rows: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    yield csv_row(_FIX_COLUMNS).encode()
    for row in rows:
        error = row["error"]
        advice = ADVICE.get(error["code"], "")
        cells = [row["store_id"], row["visit_time"], row["url"], error["code"], error["message"], advice]
        yield csv_row(cells).encode("utf-8", "replace")
