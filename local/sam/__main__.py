"""``make sam-local``: the service on the real SAM CLI, in Docker, until it is interrupted."""

import argparse
import logging
import signal
import sys
import threading
from collections.abc import Sequence

from local.example import submit_command
from local.process import StackError
from local.sam import build, needs
from local.sam.stage import SamLocalStage, StageError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 after a requested end, 1 when it cannot be served."""
    parser = argparse.ArgumentParser(prog="local.sam", description="Serve Retail Pulse by `sam local`.")
    parser.add_argument("--port", type=int, default=3000, help="port on 127.0.0.1; 0 takes a free one (default: 3000)")
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(message)s")
    asked_to_end = threading.Event()
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, lambda *_: asked_to_end.set())
    try:
        needs.check()
        print(f"Building for {build.ARCHITECTURE} (sam build)", flush=True)
        build.build()
        print("Starting sam local and the embedded stack's table and queue", flush=True)
        with SamLocalStage(port=options.port) as stage:
            _announce(stage)
            asked_to_end.wait()
            print("Ending", flush=True)
    except (needs.MissingError, build.BuildError, StackError, StageError) as error:
        print(f"local.sam: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


def _announce(stage: SamLocalStage) -> None:
    key = stage.stack.api_key
    print(f"URL   {stage.url}")
    print(f"Key   {key}")
    print(f"AWS   {stage.stack.endpoint_url}  (table {stage.stack.table_name}, queue {stage.stack.queue_url})")
    print(f"Try   {submit_command(stage.url, key)}")
    print("ready", flush=True)


if __name__ == "__main__":
    sys.exit(main())
