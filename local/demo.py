"""``make demo``: from nothing to measured images.

Makes image files, serves them on this machine, starts the embedded stack, submits a job that completes and one that
fails, and shows what becomes of every image. The exit code is 0 only when everything is what it has to be.
"""

import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from io import TextIOWrapper
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Final, Protocol

import requests
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from local.client import ApiClient
from local.image_server import ImageServer, held, html
from local.images import Sample, make_album
from local.process import StackError, StackProcess
from retail_pulse.storage.store_master import StoreMaster, StoreMasterError

_JOB_SECONDS: Final = 40.0
_ASK_AGAIN_SECONDS: Final = 0.1
_PIPE_WIDTH: Final = 120
# Narrower terminals get tables without the names of the stores.
_NAMED_WIDTH: Final = 110
_STORES: Final = 8
_MISSING_FILE: Final = "missing.jpg"
_NO_IMAGE: Final = "page.jpg"


class DemoError(Exception):
    """Why the demo cannot go on."""


@dataclass(frozen=True, slots=True)
class ExpectedImage:
    """One image that is submitted, and what has to become of it.

    Parameters
    ----------
    url
        Where it is served.
    width, height
        Its size in pixels; None for what cannot be measured.
    code
        The code of its failure; None for what can be measured.
    """

    url: str
    width: int | None
    height: int | None
    code: str | None = None

    @property
    def perimeter(self) -> int | None:
        """What has to be measured."""
        return None if self.width is None or self.height is None else 2 * (self.height + self.width)


@dataclass(frozen=True, slots=True)
class ExpectedVisit:
    """A store visited once, with its images."""

    store_id: str
    images: tuple[ExpectedImage, ...]


@dataclass(frozen=True, slots=True)
class ExpectedJob:
    """A job and how it has to end."""

    title: str
    visits: tuple[ExpectedVisit, ...]

    @property
    def images(self) -> list[tuple[str, ExpectedImage]]:
        """Store ids and images in the order of the body."""
        return [(visit.store_id, image) for visit in self.visits for image in visit.images]

    @property
    def failing_stores(self) -> list[str]:
        """The stores that have to be named as failed."""
        return sorted({store_id for store_id, image in self.images if image.code})

    @property
    def status(self) -> str:
        """What its status has to be in the end."""
        return "failed" if self.failing_stores else "completed"

    def body(self) -> dict[str, Any]:
        """Return what is submitted."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return {
            "count": len(self.visits),
            "visits": [
                {"store_id": visit.store_id, "image_url": [image.url for image in visit.images], "visit_time": now}
                for visit in self.visits
            ],
        }


@dataclass(frozen=True, slots=True)
class EndedJob:
    """How a job went, in the API's own answers.

    Parameters
    ----------
    job_id
        The job's id.
    statuses
        Its statuses from submission to end, each once for as long as it lasted.
    errors
        The failing stores of the last status.
    results
        A row for each image.
    """

    job_id: int
    statuses: Sequence[str]
    errors: Sequence[Mapping[str, Any]]
    results: Sequence[Mapping[str, Any]]


def differences(expected: ExpectedJob, ended: EndedJob) -> list[str]:
    """Compare how a job went with how it had to go.

    Returns
    -------
    list of str
        A line for each difference; none when all is well.
    """
    found = []
    if list(ended.statuses) != ["ongoing", expected.status]:
        found.append(f"its status went {' > '.join(ended.statuses)}, not ongoing > {expected.status}")
    failing = sorted(str(error.get("store_id")) for error in ended.errors)
    if failing != expected.failing_stores:
        found.append(f"its failing stores are {failing}, not {expected.failing_stores}")
    if len(ended.results) != len(expected.images):
        found.append(f"it has {len(ended.results)} results for {len(expected.images)} images")
    for (store_id, image), row in zip(expected.images, ended.results, strict=False):
        wanted = {
            "store_id": store_id,
            "url": image.url,
            "outcome": "failed" if image.code else "measured",
            "code": image.code,
            "width": image.width,
            "height": image.height,
            "perimeter": image.perimeter,
        }
        got = {**row, "code": (row.get("error") or {}).get("code")}
        found += [
            f"{image.url} of {store_id}: {name} is {got.get(name)!r}, not {value!r}"
            for name, value in wanted.items()
            if got.get(name) != value
        ]
    return found


def plan(samples: Sequence[Sample], server: ImageServer, stores: StoreMaster) -> tuple[ExpectedJob, ExpectedJob]:
    """Think up the two jobs: all images for some stores of the store master, and one of everything that goes wrong."""
    known = list(islice((store.store_id for store in stores), _STORES))
    if not known:
        raise DemoError("the store master has no stores")
    measured = [ExpectedImage(server.url(f"/{one.name}"), one.width, one.height) for one in samples]
    visits = [
        ExpectedVisit(store_id, tuple(measured[start::_STORES]))
        for start, store_id in zip(range(min(_STORES, len(measured))), cycle(known), strict=False)
    ]
    server.script(f"/{_NO_IMAGE}", html())
    bad = [
        ExpectedVisit(_unknown_store(stores), (ExpectedImage(measured[0].url, None, None, "unknown_store"),)),
        ExpectedVisit(
            known[-1],
            (
                measured[1],
                ExpectedImage(server.url(f"/{_MISSING_FILE}"), None, None, "http_status"),
                ExpectedImage(server.url(f"/{_NO_IMAGE}"), None, None, "not_an_image"),
            ),
        ),
    ]
    good = ExpectedVisit(known[0], tuple(measured[2:5]))
    if known[0] == known[-1]:
        # With one store in the master, the good visit would be of the failing store.
        return ExpectedJob("All well", tuple(visits)), ExpectedJob("Some wrong", tuple(bad))
    return ExpectedJob("All well", tuple(visits)), ExpectedJob("Some wrong", (good, *bad))


def _unknown_store(stores: StoreMaster) -> str:
    return next(name for name in (f"S{number:08d}" for number in range(99_999_999, 0, -1)) if name not in stores)


class Reporter(Protocol):
    """Shows how jobs get on."""

    def show(self, number: int, status: str, done: int) -> None:
        """Show the status of a job and how many of its images have an outcome."""


class _Bars:
    """A bar for each job, for a terminal."""

    def __init__(self, progress: Progress, jobs: Sequence[ExpectedJob]) -> None:
        self._progress = progress
        self._tasks = [progress.add_task(job.title, total=len(job.images), status="submitted") for job in jobs]

    def show(self, number: int, status: str, done: int) -> None:
        self._progress.update(self._tasks[number], completed=done, status=status)


class _Lines:
    """A line for each change, for a file or a pipe."""

    def __init__(self, console: Console, jobs: Sequence[ExpectedJob]) -> None:
        self._console = console
        self._jobs = jobs
        self._shown: dict[int, tuple[str, int]] = {}

    def show(self, number: int, status: str, done: int) -> None:
        if self._shown.get(number) != (status, done):
            self._shown[number] = status, done
            job = self._jobs[number]
            self._console.print(f"  {job.title}: {status}, {done} of {len(job.images)} images", highlight=False)


@contextmanager
def _reporter(console: Console, jobs: Sequence[ExpectedJob]) -> Iterator[Reporter]:
    if not console.is_terminal:
        yield _Lines(console, jobs)
        return
    columns = (
        TextColumn("  {task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[status]}"),
    )
    with Progress(*columns, console=console) as progress:
        yield _Bars(progress, jobs)


def run_jobs(
    client: ApiClient, jobs: Sequence[ExpectedJob], gate: threading.Event, reporter: Reporter
) -> list[EndedJob]:
    """Submit jobs and watch them to their end.

    Parameters
    ----------
    client
        Calls the API.
    jobs
        What is submitted.
    gate
        Is set once every job has been seen ongoing: the server holds an image of each job back until then, so that none
        can end unseen.
    reporter
        Is told how they get on.

    Returns
    -------
    list of EndedJob
        In the order of the jobs.

    Raises
    ------
    DemoError
        When an answer is not what the API promises, or a job does not end.
    """
    ids = [int(_json(client.post("/api/submit", job.body()), 201)["job_id"]) for job in jobs]
    statuses: list[list[str]] = [[] for _ in jobs]
    errors: list[list[Mapping[str, Any]]] = [[] for _ in jobs]
    running = set(range(len(jobs)))
    deadline = time.monotonic() + _JOB_SECONDS
    while running:
        for number in sorted(running):
            answer = _json(client.get("/api/status", jobid=ids[number]), 200)
            images = _json(client.get(f"/api/jobs/{ids[number]}"), 200)["images"]
            status = str(answer["status"])
            reporter.show(number, status, images["measured"] + images["failed"])
            if statuses[number][-1:] != [status]:
                statuses[number].append(status)
            if status != "ongoing":
                errors[number] = answer.get("error", [])
                running.remove(number)
        gate.set()
        if running and time.monotonic() > deadline:
            raise DemoError(f"job {ids[min(running)]} has not ended after {_JOB_SECONDS:g} s")
        # The API has nothing to wait on.
        time.sleep(_ASK_AGAIN_SECONDS if running else 0)
    return [
        EndedJob(job_id, statuses[number], errors[number], list(client.results(job_id)))
        for number, job_id in enumerate(ids)
    ]


def _json(answer: requests.Response, status: int) -> Any:
    if answer.status_code != status:
        raise DemoError(f"{answer.request.method} {answer.url} answers {answer.status_code}: {answer.text[:500]}")
    return answer.json()


def results_table(expected: ExpectedJob, ended: EndedJob, width: int) -> Table:
    """Show what became of every image, in a terminal of some width."""
    named = width >= _NAMED_WIDTH
    table = _table(f"{expected.title}: job {ended.job_id}, {ended.statuses[-1]}")
    table.add_column("Store", no_wrap=True)
    if named:
        table.add_column("Name", overflow="ellipsis", no_wrap=True, max_width=20)
    table.add_column("Image", overflow="fold")
    for title in ("Bytes", "Width", "Height", "Perimeter"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("Outcome", overflow="fold", min_width=len("unknown_store"))
    for row in ended.results:
        error = row["error"]
        table.add_row(
            escape(row["store_id"]),
            *([escape(row["store_name"] or "-")] if named else []),
            escape(row["url"].rpartition("/")[2]),
            *("-" if row[name] is None else f"{row[name]:,}" for name in ("bytes", "width", "height", "perimeter")),
            f"[red]{escape(error['code'])}[/]" if error else f"[green]{escape(row['outcome'])}[/]",
        )
    return table


def errors_table(expected: ExpectedJob, ended: EndedJob) -> Table:
    """Show the failing stores as the status names them."""
    table = _table(f"{expected.title}: failing stores of job {ended.job_id}")
    table.add_column("Store", no_wrap=True)
    table.add_column("Error", overflow="fold")
    for error in ended.errors:
        table.add_row(escape(error["store_id"]), f"[red]{escape(error['error'])}[/]")
    return table


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)


def run(console: Console) -> list[str]:
    """Run the demo and return what is not as it has to be.

    Raises
    ------
    DemoError, StackError, StoreMasterError
        When it cannot be run to its end.
    requests.RequestException
        When the API cannot be reached.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="retail-pulse-demo-")))
        samples = make_album(folder)
        sizes = sorted(sample.bytes for sample in samples)
        formats = ", ".join(sorted({sample.format for sample in samples}))
        server = stack.enter_context(ImageServer(folder))
        console.print(
            f"{len(samples)} images of {sizes[0] / 1e3:.0f} kB to {sizes[-1] / 1e6:.1f} MB ({formats}) "
            f"on {server.url()}",
            highlight=False,
        )

        start = time.monotonic()
        embedded = StackProcess()
        # Registered before the start, which an interrupt may cut short.
        stack.callback(embedded.stop)
        with console.status("Starting the embedded stack"):
            embedded.start()
        console.print(
            f"The embedded stack is up on {embedded.url} after {time.monotonic() - start:.1f} s", highlight=False
        )

        jobs = plan(samples, server, StoreMaster.load())
        gate = threading.Event()
        for sample in (samples[0], samples[1]):
            server.script(f"/{sample.name}", held((folder / sample.name).read_bytes(), gate))
        client = stack.enter_context(ApiClient(embedded.url, embedded.api_key))
        with _reporter(console, jobs) as reporter:
            ended = run_jobs(client, jobs, gate, reporter)

        found = []
        for expected, end in zip(jobs, ended, strict=True):
            console.print(results_table(expected, end, console.width))
            if end.errors:
                console.print(errors_table(expected, end))
            found += [f"job {end.job_id}: {line}" for line in differences(expected, end)]
    return found


def _terminate(_signal: int, _frame: object) -> None:
    sys.exit(128 + signal.SIGTERM)


def main() -> int:
    """Run the command line and return its exit code."""
    # What was started and made is cleared away in this case too.
    signal.signal(signal.SIGTERM, _terminate)
    if isinstance(sys.stdout, TextIOWrapper):
        # Names of stores hold letters that not every terminal has.
        sys.stdout.reconfigure(errors="replace")
    console = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    start = time.monotonic()
    try:
        found = run(console)
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return 130
    except (DemoError, StackError, StoreMasterError, requests.RequestException) as error:
        print(f"The demo failed: {error}", file=sys.stderr)
        return 1
    if found:
        print("Not as expected:", *found, sep="\n  ", file=sys.stderr)
        return 1
    console.print(
        f"Every perimeter is that of its file, and what had to fail has failed ({time.monotonic() - start:.1f} s).",
        highlight=False,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
