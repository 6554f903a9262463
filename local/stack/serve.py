"""``python -m local.stack.serve``: the embedded stack on a port of this machine, until it is interrupted."""

import argparse
import contextlib
import fcntl
import os
import platform
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from local.emulator.emulator import environment
from local.emulator.names import API_KEY, REGION, STACK_NAME
from local.stack.example import submit_command
from local.stack.info import StackInfo
from local.stack.messages import Order
from local.stack.ports import PortError, listen
from local.stack.supervisor import StackEndedError, Supervisor

ROOT = Path(__file__).resolve().parents[2]
_LOG_TAIL_LINES = 25
# Everything else stays at the template's defaults. Two workers of 100 threads are what two cores can feed, and images
# of the demo and the tests come from this machine, from any port, which nobody may call in production.
_LOCAL_PARAMETERS = {
    "AllowedNetworks": "127.0.0.0/8",
    "AllowedPorts": "1-65535",
    "Architecture": "arm64" if platform.machine().lower() in {"arm64", "aarch64"} else "x86_64",
    "ProcessConcurrency": "2",
}


class CannotServeError(Exception):
    """Why the stack cannot be served, as it is said on the terminal."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 after a requested end, 1 when the stack cannot be served."""
    options = _parser().parse_args(arguments)
    try:
        _serve(options)
    except CannotServeError as error:
        print(f"local.stack.serve: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="local.stack.serve", description="Serve Retail Pulse on this machine.")
    parser.add_argument("--port", type=int, default=8080, help="port on 127.0.0.1; 0 takes a free one (default: 8080)")
    parser.add_argument("--state-dir", type=Path, metavar="DIR", help="keep jobs and keys here over restarts")
    parser.add_argument(
        "--parameter", action="append", default=[], metavar="NAME=VALUE", help="a template parameter; may be repeated"
    )
    parser.add_argument("--info-file", type=Path, metavar="FILE", help="write where the stack is found, as JSON")
    parser.add_argument("--root", type=Path, default=ROOT, help="the project to deploy (default: this one)")
    parser.add_argument(
        "--until-stdin-closes", action="store_true", help="end with standard input too, so with whoever holds it open"
    )
    return parser


def _serve(options: argparse.Namespace) -> None:
    parameters = _LOCAL_PARAMETERS | _parameters(options.parameter)
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(_listen(options.port))
        port = int(listener.getsockname()[1])
        lock = [stack.enter_context(_lock(options.state_dir))] if options.state_dir else []
        private = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="retail-pulse-", ignore_cleanup_errors=True))
        )
        state = options.state_dir.resolve() if options.state_dir else None
        log = (state or private) / "stack.log"
        (private / "tmp").mkdir()
        supervisor = stack.enter_context(
            Supervisor(
                Order(str(options.root.resolve()), str(private), port, listener.fileno(), parameters),
                [sys.executable, "-m", "local.stack.stack"],
                environment(private, state, f"http://127.0.0.1:{port}") | {"PYTHONPATH": _python_path()},
                listener,
                log,
                # The state stays locked until the stack itself has ended, even if this process dies.
                [file.fileno() for file in lock],
                stop_on_input_end=options.until_stdin_closes,
            )
        )
        # The stack has it now; when that ends, nobody should be able to connect.
        listener.close()
        try:
            report = supervisor.report()
            if report is not None and report.outputs is not None:
                _announce(report.outputs, port, log, options.info_file)
                supervisor.until_asked_to_end()
            elif report is not None:
                tail = "" if report.explained else f"; the end of its log:\n{_tail(log)}"
                raise CannotServeError(f"{report.error}{tail}")
        except StackEndedError:
            raise CannotServeError(f"the stack has ended by itself; the end of its log:\n{_tail(log)}") from None
        finally:
            if options.info_file:
                options.info_file.unlink(missing_ok=True)


def _parameters(assignments: Sequence[str]) -> dict[str, str]:
    parameters = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not name or not equals:
            raise CannotServeError(f"--parameter takes NAME=VALUE, not {assignment!r}")
        parameters[name] = value
    return parameters


def _listen(port: int) -> socket.socket:
    try:
        return listen(port)
    except PortError as error:
        raise CannotServeError(f"{error} (--port N, or make serve PORT=N)") from None


def _lock(state_dir: Path) -> IO[str]:
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        lock = (state_dir / "lock").open("w")
    except OSError as error:
        raise CannotServeError(f"state directory {state_dir}: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise CannotServeError(f"another stack uses the state directory {state_dir}") from None
    return lock


def _python_path() -> str:
    # Of the project that this file belongs to, also when another one is deployed.
    return os.pathsep.join([str(ROOT), str(ROOT / "layers" / "common")])


def _announce(outputs: Mapping[str, str], port: int, log: Path, info_file: Path | None) -> None:
    url = f"http://127.0.0.1:{port}"
    info = StackInfo(
        url=url,
        endpoint_url=url,
        api_key=API_KEY,
        stack_name=STACK_NAME,
        table_name=outputs["TableName"],
        # The emulator's queue URLs have a made-up host, see emulator.py.
        queue_url=url + urlsplit(outputs["QueueUrl"]).path,
        dead_letter_queue_url=url + urlsplit(outputs["DeadLetterQueueUrl"]).path,
        pid=os.getpid(),
        region=REGION,
        log=str(log),
    )
    if info_file:
        info.write(info_file)
    print(f"URL   {url}  (its description: {url}/docs)")
    print(f"Key   {API_KEY}")
    print(f"Log   {log}")
    print(f"Try   {submit_command(url, API_KEY)}")
    print("ready", flush=True)


def _tail(log: Path) -> str:
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        return str(error)
    return "\n".join(f"  {line}" for line in lines[-_LOG_TAIL_LINES:])


if __name__ == "__main__":
    sys.exit(main())
