"""`pulse` against the whole stack: a file of 5,000 images, killed, interrupted and repeated."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.checkout import PYTHON_PATH, ROOT
from local.client import ApiClient
from local.images.server import ImageServer
from local.stack.process import StackProcess
from tests.support.commands import running
from tests.support.waiting import END_SECONDS

IMAGES = 5_000
STORE = "S00339218"


@pytest.fixture(scope="module")
def quick_stack() -> Iterator[StackProcess]:
    """A stack without delays: the waits of the images would be most of the time."""
    with StackProcess(parameters={"DelayMinSeconds": "0", "DelayMaxSeconds": "0"}) as running_stack:
        yield running_stack


@pytest.fixture
def variables(quick_stack: StackProcess, tmp_path: Path) -> dict[str, str]:
    folders = dict.fromkeys(["HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"], str(tmp_path))
    return {**folders, "PULSE_URL": quick_stack.url, "PULSE_KEY": quick_stack.api_key}


@pytest.fixture
def visits_file(images: ImageServer, picture: bytes, tmp_path: Path) -> Path:
    """A file of 5,000 images in 500 visits; the last image is missing."""
    url = images.add("/a.jpg", picture)
    rows = [
        f"{STORE},2026-11-{1 + number // 10 % 28:02d}T{number // 280:02d}:00:00Z,{url}?{number}"
        for number in range(IMAGES - 1)
    ]
    path = tmp_path / "five thousand.csv"
    path.write_text(
        "\n".join(["store_id,visit_time,image_url", *rows, f"{STORE},2026-11-23,{images.url('/no.jpg')}"]), "utf-8"
    )
    return path


def submit_until(path: Path, variables: dict[str, str], number: signal.Signals) -> tuple[int, str]:
    """Submit a file with --wait, and send a signal when the progress is shown; return the exit code and the output."""
    with running("pulse", "submit", str(path), "--wait", **variables) as process:
        assert process.stdout
        output = ""
        while " images, " not in output:
            output += process.stdout.readline()
        process.send_signal(number)
        output += process.stdout.read()
        return process.wait(END_SECONDS), output


def pulse(variables: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "pulse", *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": PYTHON_PATH} | variables,
        capture_output=True,
        text=True,
        timeout=END_SECONDS,
        check=False,
    )


def jobs(stack: StackProcess) -> list[dict[str, Any]]:
    with ApiClient(stack.url, stack.api_key) as client:
        return list(client.rows("/api/jobs", "jobs", {"limit": 100}))


def test_a_run_that_is_killed_or_interrupted_is_repeated_and_submits_nothing_twice(
    quick_stack: StackProcess, variables: dict[str, str], visits_file: Path
) -> None:
    # GIVEN a run that is killed, and one that is interrupted
    assert submit_until(visits_file, variables, signal.SIGKILL)[0] == -signal.SIGKILL
    code, output = submit_until(visits_file, variables, signal.SIGINT)
    if code != 1:
        # Unless the job ended first, the interrupt is reported with what to do.
        assert code == 130
        assert re.search(r"Interrupted\. The service goes on with what is submitted: job \d+\.", output)
        assert "repeat the command to continue" in output.lower()
    assert "Traceback" not in output

    # WHEN the command is simply repeated
    done = pulse(variables, "submit", str(visits_file), "--wait", "--json")

    # THEN there is one job, and the exit code tells of its failed image
    assert done.returncode == 1, done.stderr
    (job,) = jobs(quick_stack)
    (shown,) = json.loads(done.stdout)["jobs"]
    assert (shown["job_id"], shown["is_new"]) == (job["job_id"], False)
    assert (shown["status"], shown["measured"], shown["failed"]) == ("failed", IMAGES - 1, 1)
    assert job["images"] == IMAGES

    # AND its results, and the failed row to correct, can be saved
    results = pulse(variables, "results", job["job_id"], "-o", str(visits_file.with_name("results.csv")))
    assert results.returncode == 1
    assert len(visits_file.with_name("results.csv").read_text("utf-8").splitlines()) == IMAGES + 1
    fixed = pulse(variables, "fix", job["job_id"], "-o", str(visits_file.with_name("fix.csv")))
    assert fixed.returncode == 0
    assert "/no.jpg,http_status" in visits_file.with_name("fix.csv").read_text("utf-8")


def test_every_list_is_shown_in_every_form(
    quick_stack: StackProcess, variables: dict[str, str], images: ImageServer, picture: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "two.csv"
    rows = [f"{STORE},2026-11-23,{images.add('/a.jpg', picture)}", f"{STORE},2026-11-24,{images.url('/no.jpg')}"]
    path.write_text("\n".join(["store_id,visit_time,image_url", *rows]), "utf-8")
    assert pulse(variables, "submit", str(path), "--wait").returncode == 1
    for command in (["jobs"], ["images", "--failed"], ["visits", "--store", STORE]):
        as_table, as_csv, as_json = (pulse(variables, *command, *form) for form in ([], ["--csv"], ["--json"]))
        assert len(as_table.stdout.splitlines()) > 2, as_table.stderr
        (rows,) = json.loads(as_json.stdout).values()
        count = sum(len(row.get("data", [row])) for row in rows)
        assert len(as_csv.stdout.splitlines()) == count + 1
