"""``make demo``: from nothing to measured images.

Serve generated image files on this machine, start the embedded stack, submit a job that completes and a job that
fails, and show the outcome of every image. The exit code is 0 only when everything is as expected.
"""

import signal
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Final

import requests
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from local.client import ApiClient, JobNotEndedError
from local.images.pictures import Sample, make_album
from local.images.server import ImageServer, held, html
from local.stack.process import StackError, StackProcess
from retail_pulse.storage.store_master import StoreMaster, StoreMasterError

_JOB_SECONDS: Final = 40.0
_PIPE_WIDTH: Final = 120
# Narrower terminals get tables without the stores' names.
_NAMED_WIDTH: Final = 110
_STORES: Final = 8
_NEXT: Final = """
Next:
  make serve   keeps the service up, and prints lines to submit images by curl and by pulse, and the console's address
  docs/cli.md  has how to submit a spreadsheet of visits and get the results
  README.md    has the API, request by request"""
# Store IDs with image URLs. The value of a URL is what it serves, or the code of the expected failure.
Visits = Sequence[tuple[str, Mapping[str, Sample | str]]]


@dataclass(frozen=True, slots=True)
class Job:
    """A job to submit, and its expected outcome."""

    title: str
    visits: Visits

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The expected results."""
        urls = [(store_id, url, image) for store_id, images in self.visits for url, image in images.items()]
        return [{"store_id": store_id, "url": url} | _outcome(image) for store_id, url, image in urls]

    @property
    def failing_stores(self) -> list[str]:
        """The stores that the final status must report as failed."""
        return sorted({row["store_id"] for row in self.rows if row["code"]})

    @property
    def status(self) -> str:
        """The expected final status."""
        return "failed" if self.failing_stores else "completed"


def _outcome(image: Sample | str) -> dict[str, Any]:
    if isinstance(image, str):
        return {"outcome": "failed", "code": image, "width": None, "height": None, "perimeter": None}
    size = {"width": image.width, "height": image.height, "perimeter": image.perimeter}
    return {"outcome": "measured", "code": None} | size


@dataclass(frozen=True, slots=True)
class EndedJob:
    """What the API returned for a job: its first and last status, the failing stores, and one row per image."""

    job_id: int
    statuses: Sequence[str]
    errors: Sequence[Mapping[str, Any]]
    results: Sequence[Mapping[str, Any]]


def differences(job: Job, ended: EndedJob) -> list[str]:
    """Return one line per difference between a job and its expected outcome."""
    found = []
    if list(ended.statuses) != ["ongoing", job.status]:
        found.append(f"its status went {' > '.join(ended.statuses)}, not ongoing > {job.status}")
    failing = sorted(str(error.get("store_id")) for error in ended.errors)
    if failing != job.failing_stores:
        found.append(f"its failing stores are {failing}, not {job.failing_stores}")
    if len(ended.results) != len(job.rows):
        found.append(f"it has {len(ended.results)} results for {len(job.rows)} images")
    for expected, result in zip(job.rows, ended.results, strict=False):
        actual = {**result, "code": (result.get("error") or {}).get("code")}
        found += [
            f"{expected['url']} of {expected['store_id']}: {name} is {actual.get(name)!r}, not {value!r}"
            for name, value in expected.items()
            if actual.get(name) != value
        ]
    return found


def plan(album: Sequence[Sample], server: ImageServer, stores: StoreMaster) -> tuple[Job, Job]:
    """Return two jobs: the whole album, visited at stores of the store master, and one image per kind of failure."""
    known = [store.store_id for store in islice(stores, _STORES)]
    if not known:
        raise StoreMasterError("the store master has no stores")
    images = [(server.url(f"/{sample.name}"), sample) for sample in album]
    visits: Visits = [(store_id, dict(images[start::_STORES])) for start, store_id in zip(range(_STORES), cycle(known))]
    unknown = next(name for name in (f"S{number:08d}" for number in range(99_999_999, 0, -1)) if name not in stores)
    missing, page = server.url("/missing.jpg"), server.script("/page.jpg", html())
    wrong: Visits = [
        (known[0], dict(images[2:5])),
        (unknown, {images[0][0]: "unknown_store"}),
        (known[-1], {**dict(images[1:2]), missing: "http_status", page: "not_an_image"}),
    ]
    return Job("All well", visits), Job("Some wrong", wrong)


def run_jobs(client: ApiClient, jobs: Sequence[Job], gate: threading.Event, console: Console) -> list[EndedJob]:
    """Submit jobs and wait until they end.

    The server holds back an image of every job until `gate` is set: no job can end before its first status is read.
    """
    ids = [client.submit(*((store_id, list(images)) for store_id, images in job.visits)) for job in jobs]
    first = [client.read("/api/status", jobid=job_id)["status"] for job_id in ids]
    columns = TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[status]}")
    with Progress(*columns, console=console) as progress:
        tasks = {}
        for job, job_id, status in zip(jobs, ids, first, strict=True):
            console.print(f"  {job.title}: job {job_id} is {status}, {len(job.rows)} images", highlight=False)
            tasks[job_id] = progress.add_task(job.title, total=len(job.rows), status=status)

        def show() -> None:
            for job_id, task in tasks.items():
                details = client.read(f"/api/jobs/{job_id}")
                done = details["images"]["measured"] + details["images"]["failed"]
                progress.update(task, completed=done, status=details["status"])

        gate.set()
        last = [client.wait(job_id, _JOB_SECONDS, on_poll=show) for job_id in ids]
    return [
        EndedJob(job_id, [before, after["status"]], after.get("error", []), list(client.results(job_id)))
        for job_id, before, after in zip(ids, first, last, strict=True)
    ]


def results_table(job: Job, ended: EndedJob, width: int) -> Table:
    """Return a table of every image's outcome, for a terminal of the given width."""
    table = _table(f"{job.title}: job {ended.job_id}, {ended.statuses[-1]}")
    with_names = width >= _NAMED_WIDTH
    if with_names:
        table.add_column("Name", overflow="ellipsis", no_wrap=True, max_width=20)
    table.add_column("Image", overflow="fold")
    for title in ("Bytes", "Width", "Height", "Perimeter"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("Outcome", overflow="fold", min_width=len("unknown_store"))
    for row in ended.results:
        error = row["error"]
        table.add_row(
            escape(row["store_id"]),
            *([escape(row["store_name"] or "-")] if with_names else []),
            escape(row["url"].rpartition("/")[2]),
            *("-" if row[name] is None else f"{row[name]:,}" for name in ("bytes", "width", "height", "perimeter")),
            f"[red]{escape(error['code'])}[/]" if error else f"[green]{escape(row['outcome'])}[/]",
        )
    return table


def errors_table(job: Job, ended: EndedJob) -> Table:
    """Return a table of the failing stores, as the status reports them."""
    table = _table(f"{job.title}: failing stores of job {ended.job_id}")
    table.add_column("Error", overflow="fold")
    for error in ended.errors:
        table.add_row(escape(error["store_id"]), f"[red]{escape(error['error'])}[/]")
    return table


def _table(title: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("Store", no_wrap=True)
    return table


def run(console: Console) -> list[str]:
    """Run the demo; return one line per unexpected outcome."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="retail-pulse-demo-")))
        album = make_album(folder)
        sizes = sorted(sample.bytes for sample in album)
        formats = ", ".join(sorted({sample.format for sample in album}))
        server = stack.enter_context(ImageServer(folder))
        size_range = f"{sizes[0] / 1e3:.0f} kB to {sizes[-1] / 1e6:.1f} MB"
        console.print(f"{len(album)} images of {size_range} ({formats}) on {server.url()}", highlight=False)

        start = time.monotonic()
        embedded = StackProcess()
        # Registered before the start, because an interrupt may cut the start short.
        stack.callback(embedded.stop)
        with console.status("Starting the embedded stack"):
            embedded.start()
        seconds = time.monotonic() - start
        console.print(f"The embedded stack is up on {embedded.url} after {seconds:.1f} s", highlight=False)

        jobs = plan(album, server, StoreMaster.load())
        gate = threading.Event()
        # Both jobs include this image.
        server.script(f"/{album[1].name}", held((folder / album[1].name).read_bytes(), gate))
        client = stack.enter_context(ApiClient(embedded.url, embedded.api_key))
        found = []
        for job, ended in zip(jobs, run_jobs(client, jobs, gate, console), strict=True):
            console.print(results_table(job, ended, console.width))
            if ended.errors:
                console.print(errors_table(job, ended))
            found += [f"job {ended.job_id}: {line}" for line in differences(job, ended)]
    return found


def main() -> int:
    """Run the command line and return its exit code."""
    # SIGTERM must unwind the stack too, or it would leave processes and files behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if isinstance(sys.stdout, TextIOWrapper):
        # Store names contain letters that some terminals cannot show.
        sys.stdout.reconfigure(errors="replace")
    console = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    start = time.monotonic()
    try:
        found = run(console)
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return 130
    except (JobNotEndedError, StackError, StoreMasterError, requests.RequestException) as error:
        print(f"The demo failed: {error}", file=sys.stderr)
        return 1
    if found:
        print("Not as expected:", *found, sep="\n  ", file=sys.stderr)
        return 1
    took = f"({time.monotonic() - start:.1f} s)"
    console.print(f"Every perimeter matches its file, and every expected failure occurred {took}.", highlight=False)
    console.print(_NEXT, highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
