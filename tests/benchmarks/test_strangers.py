"""`make strangers` without the attacks: what it counts, and the page that it writes."""

from pathlib import Path

import pytest

from benchmarks.harness.record import Run
from benchmarks.stack.strangers import report
from benchmarks.stack.strangers.hosts import Event
from benchmarks.stack.strangers.report import Finding, Result, parts
from benchmarks.stack.strangers.scenarios import SCENARIOS
from benchmarks.stack.strangers.scene import PICTURE, SIDE
from benchmarks.stack.strangers.workers import most_in_flight, seconds_until_in_flight
from retail_pulse.measuring.formats.size import SizeReader

RUN = Run("make strangers ONLY=F1", "2 × a processor", "CPython 3.13.0", "2026-11-28", 1.25, 0.5)
ONE, OTHER = 71, 72  # workers
OWNERS = {("127.0.0.2", port): ONE if port < 20 else OTHER for port in range(10, 30)}


def event(at: float, port: int, begins: bool = True) -> Event:
    return Event(at, "127.0.0.2", "/victim/1", port, begins)


def test_requests_in_flight_are_counted_per_worker() -> None:
    log = [event(0, 10), event(0, 11), event(0, 20), event(1, 10, begins=False), event(2, 12), event(3, 13)]
    assert most_in_flight(log, OWNERS) == 3


def test_requests_in_flight_count_from_a_time_on_with_those_that_had_begun() -> None:
    log = [event(0, 10), event(0, 11), event(0, 12), event(1, 10, begins=False), event(9, 11, begins=False)]
    assert most_in_flight(log, OWNERS, since=4) == 2


def test_a_connection_of_an_unknown_worker_counts_for_every_worker() -> None:
    assert most_in_flight([event(0, 10), event(0, 99), event(0, 20)], OWNERS) == 2


def test_the_ramp_is_the_time_until_one_worker_has_enough_in_flight() -> None:
    log = [event(5, 10), event(6, 20), event(7, 11)]
    assert seconds_until_in_flight(log, OWNERS, 2) == 2
    assert seconds_until_in_flight(log, OWNERS, 3) is None


@pytest.mark.parametrize(
    ("finding", "is_met"),
    [
        (Finding("GETs", 4, target=4), True),
        (Finding("GETs", 5, target=4), False),
        (Finding("measured", 20, target=20, at_least=True), True),
        (Finding("measured", 19, target=20, at_least=True), False),
        (Finding("until the end", 10, "s", 30, is_cut=True), False),
        (Finding("only shown", 10_000), True),
    ],
)
def test_a_finding_is_met_within_its_target(finding: Finding, is_met: bool) -> None:
    assert finding.is_met is is_met


def test_the_page_has_what_was_measured_before_and_now() -> None:
    before = {"F1": Result([Finding("alice's images", 60, "s", 30, is_cut=True), Finding("GETs", 3600)], RUN)}
    now = {"F1": Result([Finding("alice's images", 0.5, "s", 30), Finding("GETs", 12)], RUN)}
    page = "\n".join(parts({"F1": "Descriptors.", "F2": "Heads."}, before, now))
    assert "| alice's images | over 60 s | at most 30 s | 0.5 s | met |" in page
    assert "| GETs | 3,600 |  | 12 |  |" in page
    assert "before: code of 2026-11-28" in page
    assert "F2" not in page


def test_the_page_is_that_of_the_stored_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = report.PAGE.read_text(encoding="utf-8")
    copy = tmp_path / "strangers.md"
    copy.write_text(written, encoding="utf-8")
    monkeypatch.setattr(report, "PAGE", copy)
    report.write_page({name: text for name, (text, _) in SCENARIOS.items()})
    assert copy.read_text(encoding="utf-8") == written


def test_every_scenario_was_measured_before_the_limits() -> None:
    assert report.load(report.BEFORE).keys() == SCENARIOS.keys()


def test_the_good_hosts_send_an_image() -> None:
    with SizeReader(100) as reader:
        reader.feed(PICTURE)
        measured = reader.result()
    assert (measured.width, measured.height) == (SIDE, SIDE)
