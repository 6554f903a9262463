"""Commands of the project, run in a process as a user runs them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from local.process import ROOT

_END_SECONDS = 60.0


@contextmanager
def running(module: str, *arguments: str, **variables: str) -> Iterator["subprocess.Popen[str]"]:
    """Start ``python -m MODULE`` in a session of its own, as a terminal does; it is ended behind the block.

    Parameters
    ----------
    module, arguments
        What is run.
    variables
        Of its environment, beside this process's.
    """
    paths = os.pathsep.join([str(ROOT), str(ROOT / "layers" / "common")])
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", module, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": paths, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                # It tidies up by itself, also after a test that has failed.
                process.terminate()
                try:
                    process.wait(_END_SECONDS)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
