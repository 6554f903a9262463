"""What a host sees of the service: requests in flight, requests per second, repeated requests: F5."""

import time
from collections import Counter
from collections.abc import Callable, Sequence

from benchmarks.stack.strangers.hosts import Event
from benchmarks.stack.strangers.report import Finding
from benchmarks.stack.strangers.scene import Scene, after, scene
from benchmarks.stack.strangers.workers import most_in_flight, seconds_until_in_flight
from local.images.server import Answer, End, Pause, head, unavailable

_URLS = 300
_IN_FLIGHT = 4
_AFTER_SECONDS = 4.0
_COUNTED_SECONDS = 30.0
_RUN_SECONDS = 75.0
_RETRY_AFTER = 20
_REDIRECTS = 20
_EQUAL = 1_000
_RETRIES = 22
_BUSY_THREADS = 90


def refusing(answer: Answer) -> Callable[[], list[Finding]]:
    """Return a scenario: 300 URLs at a host that answers like this."""

    def run() -> list[Finding]:
        with scene({"victim": answer}) as made:
            return _attacked(made, made.urls("victim", _URLS))

    return run


def busy() -> list[Finding]:
    """Answer 429, and ask to be left in peace for 20 s."""
    with scene({"victim": after(0.3, unavailable(429, retry_after=_RETRY_AFTER))}) as made:
        findings = _attacked(made, made.urls("victim", _URLS))
        events = made.hosts.events()
    asked = next(event.at for event in events if "/victim/" in event.path and not event.begins)
    sent = sum("/victim/" in event.path and event.begins and event.at < asked + _RETRY_AFTER - 1 for event in events)
    # Both workers learn from their first answers.
    return [
        *findings,
        Finding(f"GETs until its `Retry-After` of {_RETRY_AFTER} s is over", sent, target=2 * _IN_FLIGHT),
    ]


def redirects() -> list[Finding]:
    """Lead to the victim from 20 other hosts."""
    with scene({"victim": UNAVAILABLE}, 1 + _REDIRECTS) as made:
        victim = made.urls("victim", 1, slice(1))[0]
        made.hosts.script("away", [head(0, "text/plain", 302, ("Location", victim))])
        return _attacked(made, made.urls("away", _URLS, slice(1, None)))


def equal() -> list[Finding]:
    """Ask a thousand times for the same image in one job."""
    with scene({}) as made:
        before = len(made.log("processed"))
        job = made.submit(made.mallory, made.urls("good", 1) * _EQUAL)
        made.seconds_to_end(made.mallory, job, 60)
        time.sleep(1)
        invocations = len(made.log("processed")) - before
        gets = made.hosts.begun("good")
        measured = sum(row["outcome"] == "measured" for row in made.rows(made.mallory, job))
    return [
        Finding("GETs for 1,000 equal URLs of a job", gets),
        Finding("GETs per invocation", gets / max(1, invocations), target=1),
        Finding("images measured", measured, target=_EQUAL, at_least=True),
    ]


def retries() -> list[Finding]:
    """Retry a failed job of 1,000 images 22 times in 15 s."""
    with scene({"gone": [head(0, "text/plain", 404)]}) as made:
        job = made.submit(made.mallory, made.urls("gone", 1_000))
        made.seconds_to_end(made.mallory, job, 60)
        first = made.hosts.begun("gone")
        codes, waits = Counter[int](), 0
        for _ in range(_RETRIES):
            answer = made.mallory.post(f"/api/jobs/{job}/retry")
            codes[answer.status_code] += 1
            # 409 while the run that the first one opened has not ended.
            waits += answer.status_code == 409 or (answer.status_code == 429 and "Retry-After" in answer.headers)
            time.sleep(0.68)
        made.seconds_to_end(made.mallory, job, 30)
        gets = made.hosts.begun("gone") - first
    return [
        Finding(f"POSTs accepted, of {_RETRIES} in 15 s", codes[202], target=1),
        Finding(
            "POSTs answered 429 with `Retry-After`, or 409 while a run is open",
            waits,
            target=_RETRIES - 1,
            at_least=True,
        ),
        Finding("GETs that they led to", gets, target=1_000),
    ]


def healthy() -> list[Finding]:
    """Measure how soon a host that answers well after 0.2 s is used by all threads."""
    with scene({"fast": after(0.2)}) as made:
        made.watch.connections = True
        job = made.submit(made.alice, made.urls("fast", 3_000))
        made.seconds_to_end(made.alice, job, 90)
        events = _of(made, "fast")
        owners = dict(made.watch.owners)
    ends = [event.at for event in events]
    soon = seconds_until_in_flight(events, owners, _BUSY_THREADS)
    return [
        Finding("images per second, 3,000 small images", len(events) / 2 / (max(ends) - min(ends)), "1/s"),
        Finding("peak of requests in flight per worker", most_in_flight(events, owners)),
        Finding(
            f"from the first GET until a worker has {_BUSY_THREADS} in flight",
            ends[-1] - ends[0] if soon is None else soon,
            "s",
            2,
            is_cut=soon is None,
        ),
    ]


UNAVAILABLE: Answer = after(0.3, unavailable(503))
# The attack's: the waits that the service would choose itself are longer.
NO_WAIT: Answer = after(0.3, unavailable(503, retry_after=0))
TARPIT: Answer = [Pause()]
RESETS: Answer = [Pause(0.2), End(reset=True)]


def _attacked(made: Scene, urls: Sequence[str]) -> list[Finding]:
    """Submit a job, and return what the host behind the script ``victim`` has seen of it."""
    made.watch.connections = True
    job = made.submit(made.mallory, urls)
    made.wait_for("victim", 1)
    _, is_cut = made.seconds_to_end(made.mallory, job, _RUN_SECONDS)
    events, owners = _of(made, "victim"), dict(made.watch.owners)
    first = events[0].at
    begun = [event.at - first for event in events if event.begins]
    return [
        Finding("peak of requests in flight per worker", most_in_flight(events, owners)),
        Finding(
            f"the same from {_AFTER_SECONDS:g} s after the first one on",
            most_in_flight(events, owners, first + _AFTER_SECONDS),
            target=_IN_FLIGHT,
        ),
        Finding(f"GETs in {_COUNTED_SECONDS:g} s for {len(urls)} URLs", sum(at < _COUNTED_SECONDS for at in begun)),
        Finding(f"GETs in the run, counted for {_RUN_SECONDS:g} s at most", len(begun), is_cut=is_cut),
    ]


def _of(made: Scene, script: str) -> list[Event]:
    return [event for event in made.hosts.events() if event.path.startswith(f"/{script}/")]
