"""The progress of jobs: bars in a terminal, lines elsewhere, a rate and the time left."""

import io
import itertools
import re
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from pulse.client import Client
from pulse.watch import Rate, watch
from tests.cli.conftest import Pulse
from tests.cli.service import StandIn


class Jobs:
    """Jobs that measure 100 images per poll, one of which fails; a clock that only sleeping moves."""

    def __init__(self, **totals: int) -> None:
        self.totals = totals
        self.done = dict.fromkeys(totals, 0)
        self.time = 0.0
        self.polls = 0

    def job(self, job_id: str) -> dict[str, Any]:
        self.polls += 1
        done = self.done[job_id]
        total = self.totals[job_id]
        self.done[job_id] = min(done + 100, total)
        status = "ongoing" if done < total else "failed"
        return {"status": status, "images": {"total": total, "measured": max(0, done - 1), "failed": min(1, done)}}

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    def watch(self, console: Console) -> dict[str, dict[str, Any]]:
        clock: Callable[[], float] = lambda: self.time  # noqa: E731
        return watch(self, {job: f"Job {job}" for job in self.totals}, console, sleep=self.sleep, now=clock)  # type: ignore[arg-type]


def test_without_a_terminal_a_line_appears_every_few_seconds_and_at_the_end() -> None:
    output = io.StringIO()
    jobs = Jobs(a=4_000, b=100)
    last = jobs.watch(Console(file=output, width=160))
    lines = output.getvalue().splitlines()
    assert {job: details["status"] for job, details in last.items()} == {"a": "failed", "b": "failed"}
    assert re.fullmatch(r"\d\d:\d\d:\d\d  0 of 4,100 images, 0 %, 0 failed", lines[0])
    assert re.search(r" of 4,100 images, \d+ %, 2 failed, \d+/s, 00:\d\d left$", lines[2])
    assert lines[-1].endswith("4,100 of 4,100 images, 100 %, 2 failed")
    assert len(lines) <= jobs.time / 5 + 2
    # The job that has ended first is not asked for again.
    assert jobs.polls == 41 + 2


def test_in_a_terminal_there_is_a_bar_for_each_job_and_one_for_all() -> None:
    output = io.StringIO()
    Jobs(a=300, b=100).watch(Console(file=output, force_terminal=True, width=120, legacy_windows=False))
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", output.getvalue())
    assert re.search(r"Job a +━+ 300 of 300 images, 100 %, 1 failed", text)
    assert re.search(r"Job b +━+ 100 of 100 images", text)
    assert re.search(r"All jobs +━+ 400 of 400 images, 100 %, 2 failed", text)


def test_bars_of_large_jobs_fit_into_80_columns(
    pulse: Pulse, service: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = {"total": 50_000, "measured": 38_000, "failed": 1_999, "pending": 10_001}
    polls = itertools.count()

    def job(_: Client, job_id: str) -> dict[str, Any]:
        return {"job_id": job_id, "status": "ongoing" if next(polls) < 6 else "failed", "images": dict(large)}

    def watched(client: Client, names: dict[str, str], _: Console) -> dict[str, dict[str, Any]]:
        clock = itertools.count(step=10)

        def sleep(_: float) -> None:
            large["measured"] += 1_500

        return watch(client, names, terminal, sleep=sleep, now=lambda: next(clock))

    output = io.StringIO()
    terminal = Console(file=output, force_terminal=True, width=80, legacy_windows=False)
    monkeypatch.setattr(Client, "job", job)
    monkeypatch.setattr("pulse.commands.submit.watch", watched)
    rows = [f"S{number // 10},2026-11-23,http://h/{number}.jpg" for number in range(50_001)]
    pulse.run("submit", pulse.write("a.csv", *rows), "--wait")
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", output.getvalue())
    assert re.search(r"Part 2 +\S+ [\d,]+ of 50,000 images, \d+ %, 1,999 failed, \d+/s, \d\d:\d\d left", text)
    assert "…" not in text


def test_a_single_job_needs_no_bar_for_all() -> None:
    output = io.StringIO()
    Jobs(a=100).watch(Console(file=output, force_terminal=True, width=120))
    assert "All jobs" not in output.getvalue()


def test_the_rate_is_that_of_the_last_half_minute() -> None:
    rate = Rate()
    assert rate.per_second == 0
    for second in range(100):
        rate.add(second, min(second, 50) * 10)
    assert rate.per_second == 0
    rate.add(100, 800)
    assert 9 <= rate.per_second <= 11


def test_a_retry_that_makes_images_pending_again_is_no_negative_rate() -> None:
    rate = Rate()
    rate.add(0, 100)
    rate.add(1, 50)
    assert rate.per_second == 0
