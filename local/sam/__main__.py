"""``make sam-local``: serve the functions with the real SAM CLI, in Docker, until it is interrupted."""

import argparse
import logging
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

from botocore.exceptions import BotoCoreError, ClientError

from local.checkout import ARCHITECTURE
from local.sam import build, needs
from local.sam.stage import SamLocalStage, StageError
from local.stack.process import StackError
from local.stack.serve import PortError, free_port, submit_command
from local.stack.shell_file import find

# Expected failures: of this machine, SAM, Docker and the embedded stack.
_ERRORS = (
    needs.MissingError,
    build.BuildError,
    PortError,
    StackError,
    StageError,
    BotoCoreError,
    ClientError,
    OSError,
    subprocess.CalledProcessError,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0 after a requested end, 1 when the service cannot be served."""
    parser = argparse.ArgumentParser(prog="local.sam", description="Serve Retail Pulse by `sam local`.")
    parser.add_argument("--port", type=int, default=3000, help="port on 127.0.0.1; 0 takes a free one (default: 3000)")
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(message)s")
    asked_to_end = threading.Event()
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, lambda *_: asked_to_end.set())
    try:
        _serve(options.port, asked_to_end)
    except _ERRORS as error:
        # A build that is ended counts as failed.
        if not asked_to_end.is_set():
            print(f"local.sam: {_text(error)}", file=sys.stderr, flush=True)
            return 1
    return 0


def _serve(port: int, asked_to_end: threading.Event) -> None:
    needs.check()
    # The stage checks it again, but only after the build, which takes long.
    free_port(port)
    print(f"Building for {ARCHITECTURE} (sam build)", flush=True)
    build.build(asked_to_end)
    if asked_to_end.is_set():
        return
    print("Starting sam local and the embedded stack's table and queue", flush=True)
    with SamLocalStage(port=port, asked_to_end=asked_to_end) as stage:
        _announce(stage)
        stage.wait()
        print("Ending", flush=True)


def _announce(stage: SamLocalStage) -> None:
    key = stage.stack.api_key
    print(f"URL   {stage.url}")
    print(f"Key   {key}")
    settings = shlex.quote(str(find(stage.stack.endpoint_url)))
    print(f"AWS   . {settings}  (table {stage.stack.table_name}, queue {stage.stack.queue_url})")
    print(f"Try   {submit_command(stage.url, key)}")
    print("ready", flush=True)


def _text(error: Exception) -> str:
    if isinstance(error, PortError):
        return f"{error} (--port N, or make sam-local SAM_PORT=N)"
    if isinstance(error, subprocess.CalledProcessError):
        return f"{error}\n{error.stderr or ''}".strip()
    return str(error)


if __name__ == "__main__":
    sys.exit(main())
