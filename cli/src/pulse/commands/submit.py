"""`pulse submit`: checks a file, submits it in parts, and perhaps waits."""

import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from pulse.client import Client
from pulse.commands.options import Json, Key, Url, connected
from pulse.commands.reports import is_without_failures, job_summary, show_job
from pulse.config import state_folder
from pulse.csv_file import read_csv
from pulse.errors import ExitCode, PulseError
from pulse.json_file import is_json, read_json
from pulse.output import counted, note, notes, out, print_json, show_findings
from pulse.records import Record, delete_old
from pulse.sending import Sender, SentJob
from pulse.visits import VisitsFile
from pulse.watch import watch

_STDIN: Final = "-"
_WAIT_FOR_ALL: Final = "Next: the same command with --wait shows the progress of all jobs, and submits nothing twice"


def submit(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A CSV file with store_id, visit_time and image_url, or a JSON body; - reads standard input.",
        ),
    ],
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until the jobs have ended, and show the progress.")
    ] = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Submit the other rows when some have problems.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Submit once more what was submitted already.")] = False,
    as_json: Json = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Submit the visits of a FILE, and say which of its rows have problems.

    Repeating the command submits nothing twice.
    """
    content = _content(file)
    name = "standard input" if str(file) == _STDIN else file.name
    found = read_json(content) if is_json(content) else read_csv(content)
    document = _document(name, found)
    try:
        if not as_json:
            show_findings(name, found.problems, found.warnings)
        _check(found, skip_bad=skip_bad)
        if found.problems:
            note("What has a problem is left out, by --skip-bad.")
        with connected(url, key) as client:
            delete_old(state_folder())
            record = Record.load(state_folder(), client.digest, content, name, again=again)
            run = _Run(client, record, document, is_quiet=as_json)
            code = run.submit_and_wait(found) if wait else run.submit(found)
    except PulseError as error:
        document["error"] = error.text
        raise
    finally:
        if as_json:
            print_json(document)
    raise typer.Exit(code)


def _content(file: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(file) == _STDIN else file.read_bytes()
    except OSError as error:
        raise PulseError(f"{file} cannot be read: {error.strerror}.", "check the name of the file") from None


def _document(name: str, found: VisitsFile) -> dict[str, Any]:
    return {
        "file": name,
        "visits": len(found.visits),
        "images": found.images,
        "problems": [problem._asdict() for problem in found.problems],
        "warnings": [warning._asdict() for warning in found.warnings],
        "jobs": [],
    }


def _check(found: VisitsFile, *, skip_bad: bool) -> None:
    """Raise `PulseError` when there is nothing to submit."""
    if found.visits and (skip_bad or not found.problems):
        return
    hint = "correct the file and repeat the command"
    if found.visits:
        hint += f"; --skip-bad submits only the other {counted(found.images, 'image')}"
    raise PulseError(f"Nothing was submitted: the file has {counted(len(found.problems), 'problem')}.", hint)


class _Run:
    """The submission of a file, as it is shown and as a document."""

    def __init__(self, client: Client, record: Record, document: dict[str, Any], *, is_quiet: bool) -> None:
        self._client = client
        self._record = record
        self._document = document
        self._is_quiet = is_quiet
        self._sent: list[SentJob] = []

    def submit(self, found: VisitsFile) -> ExitCode:
        """Submit the file, show its jobs and what to do next; return the exit code."""
        self._submit(found)
        if not self._is_quiet:
            is_one = len(self._sent) == 1
            note(f"Next: pulse status {self._sent[0].job_id} --wait" if is_one else _WAIT_FOR_ALL)
        return ExitCode.FINE

    def submit_and_wait(self, found: VisitsFile) -> ExitCode:
        """Submit the file, wait until its jobs have ended, and show what became of them; return the exit code."""
        self._submit(found)
        # The jobs are listed above; their numbers would take the place of the bars.
        names = {job.job_id: f"Part {job.number}" if job.of > 1 else "Job" for job in self._sent}
        try:
            last = watch(self._client, names, notes())
        except KeyboardInterrupt:
            raise self._interrupted() from None
        for sent, shown in zip(self._sent, self._document["jobs"], strict=True):
            shown |= job_summary(last[sent.job_id])
            if not self._is_quiet:
                show_job(self._client, last[sent.job_id])
        return ExitCode.FINE if all(map(is_without_failures, last.values())) else ExitCode.FAILED_IMAGES

    def _submit(self, found: VisitsFile) -> None:
        note(f"{self._document['file']}: {counted(len(found.visits), 'visit')}, {counted(found.images, 'image')}")
        try:
            for job in Sender(self._client, self._record).send(found):
                self._show(job)
        except KeyboardInterrupt:
            raise self._interrupted() from None
        if not self._record.is_saved:
            note(f"Warning: {self._record.path.parent} is not writable; repeat this command only within a day.")

    def _show(self, job: SentJob) -> None:
        self._sent.append(job)
        fields = {"job_id": job.job_id, "part": job.number, "parts": job.of, "visits": job.visits}
        self._document["jobs"].append(fields | {"images": job.images, "is_new": job.is_new})
        if not self._is_quiet:
            verb = "submitted" if job.is_new else "was submitted already"
            size = f"{counted(job.visits, 'visit')}, {counted(job.images, 'image')}"
            out(f"Job {job.job_id} {verb}: {f'{job.part}, ' if job.part else ''}{size}")

    def _interrupted(self) -> PulseError:
        jobs = ", ".join(f"job {job.job_id}" for job in self._sent)
        text = f"Interrupted. The service goes on with what is submitted: {jobs}." if jobs else "Interrupted."
        hint = "repeat the command to continue; without --again, nothing is submitted twice"
        return PulseError(text, hint, code=ExitCode.INTERRUPTED)
