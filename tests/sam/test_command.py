"""`make sam-local` as a user runs it: a command in a terminal, its output, and Ctrl-C."""

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

from local.client import ApiClient
from local.sam.stage import containers
from tests.sam.conftest import ReachableImages
from tests.support.commands import running
from tests.support.memory import tree
from tests.support.waiting import wait_until

pytestmark = pytest.mark.sam_local

SECONDS = 60.0


class Command:
    """The running command."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.output = ""

    def read_until(self, beginning: str) -> None:
        """Read its output up to a line with this beginning."""
        assert self.process.stdout
        for line in self.process.stdout:
            self.output += line
            if line.startswith(beginning):
                return
        raise AssertionError(f"no line {beginning!r} in:\n{self.output}")

    def printed(self, name: str) -> str:
        """Return what is printed after a name, such as the URL."""
        (value,) = re.findall(rf"^{name} +(.+)$", self.output, re.MULTILINE)
        return str(value)

    def interrupt(self) -> None:
        """Press Ctrl-C: the terminal interrupts every process that runs in it."""
        os.killpg(self.process.pid, signal.SIGINT)

    def end(self) -> int:
        """Read the rest of the output; return the exit status."""
        rest, _ = self.process.communicate(timeout=SECONDS)
        self.output += rest
        return self.process.returncode


@contextmanager
def sam_local(folder: Path) -> Iterator[Command]:
    """Start the command, with its own folder for temporary files."""
    with running("local.sam", "--port", "0", TMPDIR=str(folder)) as process:
        yield Command(process)


def test_the_printed_command_submits_a_job_that_ends_and_ctrl_c_ends_everything(
    images: ReachableImages, picture: bytes, tmp_path: Path
) -> None:
    with sam_local(tmp_path) as command:
        # GIVEN its output
        command.read_until("ready")
        url, key = command.printed("URL"), command.printed("Key")

        # WHEN the printed command line is run, for an image on this machine
        line = command.printed("Try").replace(
            "https://www.gstatic.com/webp/gallery/2.jpg", images.add("/a.jpg", picture)
        )
        answer = subprocess.run(["curl", "--silent", *shlex.split(line)[1:]], capture_output=True, check=True).stdout

        # THEN the poller processes the job, and the timer invokes reprocess
        with ApiClient(url, key) as client:
            job = json.loads(answer)["job_id"]
            assert client.wait(job, SECONDS) == {"status": "completed", "job_id": str(job)}
            assert [row["perimeter"] for row in client.results(job)] == [420]
        wait_until(lambda: bool(containers("ReprocessFunction")), SECONDS)

        # AND Ctrl-C ends everything
        command.interrupt()
        assert command.end() == 0, command.output
    assert command.output.endswith("ready\nEnding\n")
    assert containers() == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("moment", ["Building", "Starting"])
def test_ctrl_c_while_it_starts_is_not_an_error(moment: str, tmp_path: Path) -> None:
    with sam_local(tmp_path) as command:
        command.read_until(moment)
        command.interrupt()
        assert command.end() == 0, command.output
    assert command.output.splitlines()[-1].startswith(moment)
    assert containers() == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="processes are found in /proc")
def test_the_command_fails_with_sams_log_when_sam_ends_unexpectedly(tmp_path: Path) -> None:
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
