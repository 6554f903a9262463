"""Commands of the project, run in a process as a user runs them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from local.checkout import PYTHON_PATH, ROOT

_END_SECONDS = 60.0


@contextmanager
def running(module: str, *arguments: str, **variables: str) -> Iterator["subprocess.Popen[str]"]:
    """Start ``python -m MODULE`` in its own session, as a terminal does; end it when the block ends.

    Parameters
    ----------
    module, arguments
        The module to run, and its arguments.
    variables
        Environment variables, in addition to this process's.
    """
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", module, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": PYTHON_PATH, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # A child inherits an ignored SIGINT, which a shell without job control sets for its background jobs.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                # Let it clean up, also after a failed test.
                process.terminate()
                try:
                    process.wait(_END_SECONDS)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
