"""`make sam-local` as it is used: a command in a terminal, what it prints, and Ctrl-C."""

import json
import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.harness.memory import tree
from local.client import ApiClient
from local.sam.stage import containers
from tests.sam.conftest import ReachableImages
from tests.support.commands import running
from tests.support.waiting import wait_until

pytestmark = pytest.mark.sam_local

SECONDS = 60.0


class Command:
    """The command while it runs."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.output = ""

    def read_until(self, beginning: str) -> None:
        """Read what it prints up to a line, or to the end."""
        assert self.process.stdout
        for line in self.process.stdout:
            self.output += line
            if line.startswith(beginning):
                return
        raise AssertionError(f"no line {beginning!r} in:\n{self.output}")

    def printed(self, name: str) -> str:
        """Return what stands behind a name, such as the URL."""
        (value,) = re.findall(rf"^{name} +(.+)$", self.output, re.MULTILINE)
        return str(value)

    def interrupt(self) -> None:
        """Press Ctrl-C: the terminal interrupts whatever runs in it."""
        os.killpg(self.process.pid, signal.SIGINT)

    def end(self) -> int:
        """Read the rest; return the exit status."""
        rest, _ = self.process.communicate(timeout=SECONDS)
        self.output += rest
        return self.process.returncode


@contextmanager
def sam_local(folder: Path) -> Iterator[Command]:
    """Start the command, with a folder of its own for whatever is temporary."""
    with running("local.sam", "--port", "0", TMPDIR=str(folder)) as process:
        yield Command(process)


def test_a_job_of_the_printed_command_ends_and_ctrl_c_ends_everything(
    images: ReachableImages, picture: bytes, tmp_path: Path
) -> None:
    with sam_local(tmp_path) as command:
        # GIVEN what it prints
        command.read_until("ready")
        url, key = command.printed("URL"), command.printed("Key")

        # WHEN the command line that it offers is run, for an image that is on this machine
        line = command.printed("Try").replace(
            "https://www.gstatic.com/webp/gallery/2.jpg", images.add("/a.jpg", picture)
        )
        answer = subprocess.run(["curl", "--silent", *shlex.split(line)[1:]], capture_output=True, check=True).stdout

        # THEN the poller has the job worked on, and the timer has reprocess run
        with ApiClient(url, key) as client:
            job = json.loads(answer)["job_id"]
            assert client.wait(job, SECONDS) == {"status": "completed", "job_id": str(job)}
            assert [row["perimeter"] for row in client.results(job)] == [420]
        wait_until(lambda: bool(containers("ReprocessFunction")), SECONDS)

        # AND Ctrl-C ends all of it
        command.interrupt()
        assert command.end() == 0, command.output
    assert command.output.endswith("ready\nEnding\n")
    assert containers() == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("moment", ["Building", "Starting"])
def test_ctrl_c_while_it_starts_is_no_error(moment: str, tmp_path: Path) -> None:
    with sam_local(tmp_path) as command:
        command.read_until(moment)
        command.interrupt()
        assert command.end() == 0, command.output
    assert command.output.splitlines()[-1].startswith(moment)
    assert containers() == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="processes are found in /proc")
def test_a_sam_that_ends_by_itself_ends_the_command_with_its_log(tmp_path: Path) -> None:
    with sam_local(tmp_path) as command:
        command.read_until("ready")
        (server,) = (
            process
            for process in tree(command.process.pid)
            if b"start-api" in Path(f"/proc/{process}/cmdline").read_bytes()
        )
        os.kill(server, signal.SIGKILL)
        assert command.end() == 1
    _, said = command.output.split("local.sam: sam local start-api ended unexpectedly; the end of its log:\n")
    assert "GET /api/health" in said
    assert "Traceback" not in said
    assert containers() == []
    assert list(tmp_path.iterdir()) == []
