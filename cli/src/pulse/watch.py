"""Waits until jobs end and shows their progress: bars in a terminal, else a line every few seconds."""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from pulse.client import Client

_LINE_SECONDS: Final = 5.0
_RATE_SECONDS: Final = 30.0
# A job's details cost more to read the larger it is.
_MIN_POLL_SECONDS: Final = 0.5
_MAX_POLL_SECONDS: Final = 10.0
_IMAGES_PER_POLL_SECOND: Final = 5_000


@dataclass(slots=True)
class Counts:
    """How far a job is, or several ones are."""

    total: int = 0
    measured: int = 0
    failed: int = 0

    @classmethod
    def of(cls, details: Mapping[str, Any]) -> Self:
        """Return the counts of a job's details."""
        images = details["images"]
        return cls(images["total"], images["measured"], images["failed"])

    @property
    def done(self) -> int:
        """How many images have an outcome."""
        return self.measured + self.failed

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.total + other.total, self.measured + other.measured, self.failed + other.failed)


class Rate:
    """How many images get done per second, over the last half minute."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def add(self, now: float, done: int) -> None:
        """Note how many images are done."""
        self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[1][0] >= _RATE_SECONDS:
            self._seen.popleft()

    @property
    def per_second(self) -> float:
        """The rate; 0 as long as it is not known."""
        if len(self._seen) < 2:
            return 0.0
        (start, before), (end, after) = self._seen[0], self._seen[-1]
        return max(0, after - before) / (end - start) if end > start else 0.0


class Display(Protocol):
    """Shows progress by the texts of jobs, and the total under an empty one."""

    def show(self, counts: Mapping[str, Counts], texts: Mapping[str, str]) -> None: ...


class Bars:
    """A bar for each job, and one for all of several."""

    def __init__(self, progress: Progress, names: Mapping[str, str]) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {job: progress.add_task(name, text="") for job, name in names.items()}
        if len(names) > 1:
            self._tasks[""] = progress.add_task("All jobs", text="")

    def show(self, counts: Mapping[str, Counts], texts: Mapping[str, str]) -> None:
        """Move the bars."""
        for job, task in self._tasks.items():
            if job in counts:
                each = counts[job]
                self._progress.update(task, total=each.total, completed=each.done, text=texts[job])


class Lines:
    """A line for all jobs, every few seconds and at the end."""

    def __init__(self, console: Console, now: Callable[[], float]) -> None:
        self._console = console
        self._now = now
        self._next = now()
        self._was_last = False

    def show(self, counts: Mapping[str, Counts], texts: Mapping[str, str]) -> None:
        """Print a line when it is time."""
        is_last = counts[""].done == counts[""].total
        if self._now() >= self._next or is_last > self._was_last:
            self._next = self._now() + _LINE_SECONDS
            self._was_last = is_last
            self._console.print(f"{time.strftime('%H:%M:%S')}  {texts['']}", markup=False)


def watch(
    client: Client,
    names: Mapping[str, str],
    console: Console,
    *,
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.monotonic,
) -> dict[str, dict[str, Any]]:
    """Wait until every job has ended, and show the progress.

    Parameters
    ----------
    names
        What each job is called, by its id.

    Returns
    -------
    dict
        The last details of each job. The client raises what `Client.call` does.
    """
    if not console.is_terminal:
        return _poll(client, list(names), Lines(console, now), sleep, now)
    columns = TextColumn("{task.description}"), BarColumn(bar_width=30), TextColumn("{task.fields[text]}")
    with Progress(*columns, console=console) as progress:
        return _poll(client, list(names), Bars(progress, names), sleep, now)


def _poll(
    client: Client,
    jobs: Sequence[str],
    display: Display,
    sleep: Callable[[float], None],
    now: Callable[[], float],
) -> dict[str, dict[str, Any]]:
    rates = {job: Rate() for job in [*jobs, ""]}
    details: dict[str, dict[str, Any]] = {}
    while True:
        for job in jobs:
            if job not in details or details[job]["status"] == "ongoing":
                details[job] = client.job(job)
        counts = {job: Counts.of(details[job]) for job in jobs}
        counts[""] = sum(counts.values(), Counts())
        at = now()
        for job, each in counts.items():
            rates[job].add(at, each.done)
        display.show(counts, {job: _text(each, rates[job].per_second) for job, each in counts.items()})
        if all(each["status"] != "ongoing" for each in details.values()):
            return details
        pending = sum(counts[job].total for job in jobs if details[job]["status"] == "ongoing")
        sleep(min(max(pending / _IMAGES_PER_POLL_SECOND, _MIN_POLL_SECONDS), _MAX_POLL_SECONDS))


def _text(counts: Counts, rate: float) -> str:
    share = counts.done / counts.total if counts.total else 1.0
    parts = [f"{counts.done:,} of {counts.total:,} images", f"{int(share * 100)} %", f"{counts.failed:,} failed"]
    left = counts.total - counts.done
    if left and rate:
        parts += [
            f"{rate:,.0f}/s" if rate >= 1 else f"{rate:.1f}/s",
            f"{str(timedelta(seconds=round(left / rate))).removeprefix('0:')} left",
        ]
    return ", ".join(parts)
