"""How soon clients are told the truth: about a host that is dead, and after a worker's death."""

import os
import signal
import time
from typing import Any

from benchmarks.stack.strangers.report import Finding
from benchmarks.stack.strangers.scene import Scene, after, scene
from local.client import ApiClient
from local.images.server import Pause

_DEAD_SECONDS = 360.0
_LIMIT_SECONDS = 400.0
_SHOWN_SECONDS = 5.0
_REPLACED_SECONDS = 180.0
_REASONS = ("attempts", "last_error", "next_attempt_at")
# Port 9 of a loopback address: discard, which no system serves any more.
_REFUSED = "http://127.0.0.2:9/a.png"


def host() -> list[Finding]:
    """Submit jobs of three good images and one at a dead host, which refuses or never answers."""
    with scene({"tarpit": [Pause()]}, 2) as made:
        begin = time.monotonic()
        dead = {"refuses": _REFUSED, "never answers": made.urls("tarpit", 1)[0]}
        jobs = {
            made.submit(made.alice, [*made.urls("good", 3, slice(1, None)), url]): kind for kind, url in dead.items()
        }
        shown: dict[int, float] = {}
        reasons: set[int] = set()
        ended: dict[int, float] = {}
        while jobs.keys() - ended.keys() and time.monotonic() < begin + _LIMIT_SECONDS:
            time.sleep(1)
            for job in jobs.keys() - ended.keys():
                _look(made.alice, job, time.monotonic() - begin, shown, reasons, ended)
        failed = sum(made.alice.read("/api/status", jobid=job)["status"] == "failed" for job in jobs)
    findings = []
    for job, kind in jobs.items():
        at, seen = ended.get(job), shown.get(job)
        findings += [
            Finding(
                f"host that {kind}: until the job has ended", at or _LIMIT_SECONDS, "s", _DEAD_SECONDS, is_cut=not at
            ),
            Finding(
                f"host that {kind}: until its measured neighbours are shown",
                seen or _LIMIT_SECONDS,
                "s",
                _SHOWN_SECONDS,
                is_cut=seen is None,
            ),
        ]
    what = "pending images with `attempts`, `last_error` and `next_attempt_at`"
    return [
        *findings,
        Finding("jobs that ended as failed", failed, target=2, at_least=True),
        Finding(what, len(reasons), target=2, at_least=True),
    ]


def worker() -> list[Finding]:
    """Kill the worker that has a job's images in flight."""
    with scene({"slow": after(3)}, 20) as made:
        made.watch.connections = True
        job = made.submit(made.alice, made.urls("slow", 50))
        made.wait_for("slow", 10)
        time.sleep(1)
        os.kill(_owner(made), signal.SIGKILL)
        seconds, is_cut = made.seconds_to_end(made.alice, job, _REPLACED_SECONDS + 5)
    return [Finding("from the worker's death to the end of its job", seconds, "s", _REPLACED_SECONDS, is_cut=is_cut)]


def _look(
    client: ApiClient, job: int, at: float, shown: dict[int, float], reasons: set[int], ended: dict[int, float]
) -> None:
    rows: list[dict[str, Any]] = list(client.results(job))
    if sum(row["outcome"] == "measured" for row in rows) == 3:
        shown.setdefault(job, at)
    if any(row["outcome"] == "pending" and all(row.get(reason) for reason in _REASONS) for row in rows):
        reasons.add(job)
    if client.read("/api/status", jobid=job)["status"] != "ongoing":
        ended[job] = at


def _owner(made: Scene) -> int:
    places = [(event.address, event.port) for event in made.hosts.events() if "/slow/" in event.path]
    return next(made.watch.owners[place] for place in places if place in made.watch.owners)
