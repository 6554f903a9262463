"""Commands that read: tables, CSV, JSON, files, and their exit codes."""

import csv
import json
import os
import re
from io import StringIO
from pathlib import Path

import pytest

from pulse.csv_file import read_csv
from pulse.explain import ADVICE
from retail_pulse.domain.failures import FailureCode
from tests.cli.conftest import Pulse
from tests.cli.service import StandIn

FULL = Path("/dev/full")
ROWS = [f"S{number},2026-11-23,http://h/{number}.jpg" for number in range(1500)]


@pytest.fixture
def job(pulse: Pulse, service: StandIn) -> str:
    """A job of 1,500 images, of which 2 have failed."""
    service.fail_next = 2
    pulse.run("submit", pulse.write("a.csv", *ROWS))
    return service.jobs[0].job_id


def test_results_are_a_table_of_the_first_rows(pulse: Pulse, job: str) -> None:
    done = pulse.run("results", job)
    assert done.returncode == 1
    assert re.search(r"^S0 +2026-11-23 +http://h/0\.jpg +failed +- +http_status: status 404", done.stdout, re.MULTILINE)
    assert len(done.stdout.splitlines()) == 102
    assert "-o FILE saves all of them" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "shown", "hidden"),
    [
        (["jobs"], "123456789012345   failed   2026-11-23 ", "Progress, Visits"),
        (["results", "123456789012345"], "http_status", "Visit"),
        (["images"], "123456789012345   S0      http", "Visit, Outcome, Perimeter"),
    ],
)
def test_a_terminal_of_80_columns_cuts_off_no_number_of_a_job(
    pulse: Pulse, service: StandIn, monkeypatch: pytest.MonkeyPatch, arguments: list[str], shown: str, hidden: str
) -> None:
    service.fail_next = 1
    pulse.run("submit", pulse.write("visits of week 48.csv", f"S0,2026-11-23T10:00:00Z,http://h/{'a' * 200}"))
    service.jobs[0].job_id = "123456789012345"
    monkeypatch.setattr("pulse.output._PIPE_WIDTH", 80)
    done = pulse.run(*arguments)
    assert shown in done.stdout
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    assert f"Not shown: {hidden}." in done.stderr


def test_results_as_csv_and_json_are_all_rows_of_all_pages(pulse: Pulse, job: str) -> None:
    as_csv, as_json = pulse.run("results", job, "--csv"), pulse.run("results", job, "--json")
    assert len(list(csv.DictReader(StringIO(as_csv.stdout)))) == 1500
    assert as_csv.stdout.count("store_id") == 1
    assert len(json.loads(as_json.stdout)["results"]) == 1500
    assert as_csv.returncode == as_json.returncode == 1


def test_failed_results_are_only_those(pulse: Pulse, job: str) -> None:
    assert [
        row["store_id"] for row in json.loads(pulse.run("results", job, "--failed", "--json").stdout)["results"]
    ] == [
        "S0",
        "S1",
    ]


@pytest.mark.parametrize(
    ("name", "options", "starts"), [("r.csv", [], "s"), ("r.json", [], "{"), ("r", ["--json"], "{")]
)
def test_a_file_is_written_in_the_form_of_its_name(
    pulse: Pulse, job: str, name: str, options: list[str], starts: str
) -> None:
    done = pulse.run("results", job, "-o", name, *options)
    assert done.stdout == ""
    assert (pulse.folder / name).read_text(encoding="utf-8")[0] == starts
    assert not list(pulse.folder.glob("*.part"))


def test_a_download_that_breaks_leaves_no_file(pulse: Pulse, job: str, service: StandIn) -> None:
    service.scripted = [(200, service.jobs[0].details(), {}), (500, {}, {})]
    assert pulse.run("results", job, "-o", "r.csv").returncode == 3
    assert {path.name for path in pulse.folder.iterdir()} == {"a.csv", "state"}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (".", "Is a directory"),
        ("a/b.csv", "No such file or directory"),
        pytest.param("full", "No space left on device", marks=pytest.mark.skipif(not FULL.exists(), reason="Linux")),
    ],
)
def test_a_file_that_cannot_be_written_ends_with_2(pulse: Pulse, job: str, name: str, reason: str) -> None:
    (pulse.folder / "full").symlink_to(FULL)
    done = pulse.run("results", job, "-o", name)
    assert done.returncode == 2
    assert f"Error: {name} cannot be written: {reason}." in done.stderr


def test_a_pipe_is_written_into_and_stays_one(pulse: Pulse, job: str) -> None:
    pipe = pulse.folder / "pipe"
    os.mkfifo(pipe)
    # With a reader that is also a writer, nobody waits for the other.
    reader = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    try:
        pulse.run("results", job, "--failed", "-o", "pipe")
        assert pipe.is_fifo()
        assert os.read(reader, 65_536).count(b"http://h/") == 2
    finally:
        os.close(reader)


def test_fix_writes_a_file_that_can_be_corrected_and_submitted(pulse: Pulse, job: str, service: StandIn) -> None:
    done = pulse.run("fix", job, "-o", "fix.csv")
    assert (done.returncode, done.stdout) == (0, "Saved 2 failed images in fix.csv\n")
    found = read_csv((pulse.folder / "fix.csv").read_bytes())
    assert [(visit.store_id, visit.image_urls) for visit in found.visits] == [
        ("S0", ["http://h/0.jpg"]),
        ("S1", ["http://h/1.jpg"]),
    ]
    assert pulse.run("fix", job, "-o", "fix.csv").returncode == 2
    assert pulse.run("submit", "fix.csv").returncode == 0
    assert service.jobs[1].images == 2


def test_fix_of_a_job_without_failures_writes_nothing(pulse: Pulse, service: StandIn) -> None:
    pulse.run("submit", pulse.write("a.csv", ROWS[0]))
    assert pulse.run("fix", "1000", "-o", "fix.csv").returncode == 0
    assert not (pulse.folder / "fix.csv").exists()


def test_status_shows_counts_reasons_and_the_exit_code(pulse: Pulse, job: str) -> None:
    done = pulse.run("status", job)
    assert done.returncode == 1
    assert done.stdout.startswith(f"Job {job} failed: 1,498 measured, 2 failed\nsubmitted ")
    # What to do next is not folded in a terminal, also with a number of 16 digits.
    assert all(len(line) <= 80 - 12 for line in done.stderr.splitlines())
    document = json.loads(pulse.run("status", job, "--json", "--wait").stdout)
    assert document["images"]["failed"] == 2


def test_jobs_are_listed_with_their_files(pulse: Pulse, job: str) -> None:
    done = pulse.run("jobs")
    assert done.returncode == 0
    assert re.search(rf"^{job} +failed +100 % +2026-11-23 .* 1,500 +1,500 +a\.csv", done.stdout, re.MULTILINE)
    assert json.loads(pulse.run("jobs", "--json").stdout)["jobs"][0]["job_id"] == job


@pytest.mark.parametrize("command", ["status", "results", "retry"])
def test_an_unknown_job_ends_with_3_and_no_job_at_all_with_2(pulse: Pulse, command: str) -> None:
    done = pulse.run(command, "7", "--json")
    assert (done.returncode, done.stdout) == (3, "")
    assert "no such job" in done.stderr
    assert pulse.run(command, "7/results").returncode == 2


@pytest.mark.parametrize("arguments", [["results", "1", "--csv", "--json"], ["jobs", "--status", "done"]])
def test_options_that_contradict_end_with_2(pulse: Pulse, service: StandIn, arguments: list[str]) -> None:
    assert pulse.run(*arguments).returncode == 2
    assert service.requests == []


def test_a_parameter_that_the_service_refuses_ends_with_2(pulse: Pulse, service: StandIn) -> None:
    service.scripted = [(400, {"detail": "from must be a date", "code": "invalid_request"}, {})]
    done = pulse.run("jobs", "--from", "yesterday")
    assert done.returncode == 2
    assert "from must be a date" in done.stderr


def test_a_server_that_is_another_one_is_named(pulse: Pulse, service: StandIn) -> None:
    service.scripted = [(200, b"<html>", {})]
    done = pulse.run("jobs")
    assert done.returncode == 3
    assert "not as Retail Pulse does" in done.stderr


def test_a_url_with_a_path_too_many_is_told_to_check_it(pulse: Pulse, service: StandIn) -> None:
    service.scripted = [(404, {"detail": "GET /api/api/jobs is not a route", "code": "route_not_found"}, {})]
    assert "without /api" in pulse.run("jobs").stderr


def test_every_code_of_a_failed_image_has_an_advice() -> None:
    assert set(ADVICE) == {code.value for code in FailureCode}
