"""``make demo`` as a user runs it: its exit code, what it prints, and what it leaves behind."""

import os
import re
import signal
import socket
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.support.commands import running


def demo(folder: Path) -> AbstractContextManager["subprocess.Popen[str]"]:
    """Start the demo, with its own folder for temporary files."""
    return running("local.demo", TMPDIR=str(folder))


def test_it_shows_measured_images_and_failing_stores(tmp_path: Path) -> None:
    with demo(tmp_path) as process:
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    # The progress is shown without a terminal, too.
    assert re.search(r"All well: job \d+ is ongoing, 24 images", output)
    assert re.search(r"Some wrong: job \d+ is ongoing, 7 images", output)
    assert re.search(r"All well +\S+ 24/24 completed", output)
    assert re.search(r"Some wrong +\S+ 7/7 +failed", output)
    # One row per image, recognized by its outcome.
    assert len(re.findall(r" measured\s*$", output, re.MULTILINE)) == 24 + 4
    assert re.search(r"shelf-06-large\.jpg +4,\d\d\d,\d\d\d +4,000 +3,000 +14,000 +measured", output)
    for code in ("unknown_store", "http_status", "not_an_image"):
        assert re.search(rf" {code}\s*$", output, re.MULTILINE)
    assert "failing stores of job" in output
    assert output.endswith("request by request\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("moment", "signal_number"),
    [
        pytest.param("images of", signal.SIGINT, id="Ctrl-C while the stack starts"),
        pytest.param("All well: job", signal.SIGINT, id="Ctrl-C while jobs run"),
        pytest.param("The embedded stack is up on", signal.SIGTERM, id="SIGTERM"),
    ],
)
def test_an_interrupt_ends_the_demo_and_everything_it_started(
    tmp_path: Path, moment: str, signal_number: signal.Signals
) -> None:
    with demo(tmp_path) as process:
        assert process.stdout
        lines = []
        for line in process.stdout:
            lines.append(line)
            if moment in line:
                break
        if signal_number == signal.SIGINT:
            # A terminal interrupts every process that runs in it, not only the demo.
            os.killpg(process.pid, signal_number)
        else:
            process.send_signal(signal_number)
        lines += process.stdout.readlines()
        assert process.wait(timeout=30) == 128 + signal_number
    output = "".join(lines)
    assert "Traceback" not in output
    assert list(tmp_path.iterdir()) == []
    for port in re.findall(r"http://127\.0\.0\.1:(\d+)", output):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", int(port)), timeout=5)
