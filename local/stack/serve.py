"""``python -m local.stack.serve``: serve the embedded stack on a port of this machine until it is interrupted."""

import argparse
import contextlib
import errno
import fcntl
import json
import os
import shlex
import socket
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from local.checkout import ARCHITECTURE, PYTHON_PATH, ROOT
from local.emulator.callers import new_secret
from local.emulator.emulator import environment
from local.lambda_host.environment import LOCAL_IMAGES
from local.stack import shell_file
from local.stack.messages import Order, StackInfo
from local.stack.private import UMASK, NotPrivateError, make_private
from local.stack.samples import Samples, samples
from local.stack.supervisor import StackEndedError, Supervisor

_LOG_TAIL_LINES = 25
_LOCK = "lock"
# All other parameters keep the template's defaults. Two workers of 100 threads are what two cores can keep busy.
_LOCAL_PARAMETERS = {
    **LOCAL_IMAGES,
    "Architecture": ARCHITECTURE,
    "LocalKey": "local-dev-key",
    "ProcessConcurrency": "2",
}
_EXAMPLE = ("S00339218", "https://www.gstatic.com/webp/gallery/2.jpg")


class CannotServeError(Exception):
    """The stack cannot be served; the text is for the terminal."""


class PortError(CannotServeError):
    """A port cannot be listened on; the text says why, in one line."""


def listen(port: int) -> socket.socket:
    """Return a socket that listens on a port of 127.0.0.1; 0 chooses a free one. Raise `PortError` if it cannot."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # Allows a port whose connections have just ended; a port with a listener is still refused.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen(1024)
    except (OSError, OverflowError) as error:
        listener.close()
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise PortError(f"port {port} is in use; choose another one") from None
        raise PortError(f"port {port}: {error}") from None
    return listener


def free_port(port: int = 0) -> int:
    """Return the given port, or a free one for 0. Raise `PortError` if it is in use or invalid."""
    with listen(port) as listener:
        return int(listener.getsockname()[1])


def submit_command(url: str, key: str, store_id: str = _EXAMPLE[0], image_url: str = _EXAMPLE[1]) -> str:
    """Return a command line that submits an example job, by default with an image on the internet."""
    visit = {"store_id": store_id, "image_url": [image_url], "visit_time": "2026-11-23T10:00:00Z"}
    body = json.dumps({"count": 1, "visits": [visit]}, separators=(",", ":"))
    headers = ["-H", f"x-api-key: {key}", "-H", "content-type: application/json"]
    return shlex.join(["curl", f"{url}/api/submit", *headers, "-d", body])


def pulse_command(url: str, key: str, visits_file: Path) -> str:
    """Return a command line that submits a file of visits by `pulse`, from any folder."""
    variables = [f"{name}={shlex.quote(value)}" for name, value in (("PULSE_URL", url), ("PULSE_KEY", key))]
    arguments = f"ARGS=submit {shlex.quote(str(visits_file))} --wait"
    return " ".join([*variables, shlex.join(["make", "-s", "-C", str(ROOT), "pulse", arguments])])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0 after a requested end, 1 when the stack cannot be served."""
    options = _parser().parse_args(arguments)
    # Inherited by the stack and its workers: state, log and info file have secrets, keys' hashes and URLs.
    os.umask(UMASK)
    try:
        _serve(options)
    except CannotServeError as error:
        hint = " (--port N, or make serve PORT=N)" if isinstance(error, PortError) else ""
        print(f"local.stack.serve: {error}{hint}", file=sys.stderr, flush=True)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="local.stack.serve", description="Serve Retail Pulse on this machine.")
    parser.add_argument("--port", type=int, default=8080, help="port on 127.0.0.1; 0 takes a free one (default: 8080)")
    parser.add_argument("--state-dir", type=Path, metavar="DIR", help="keep jobs and keys here over restarts")
    parser.add_argument(
        "--parameter", action="append", default=[], metavar="NAME=VALUE", help="a template parameter; repeatable"
    )
    parser.add_argument("--info-file", type=Path, metavar="FILE", help="write the stack's addresses here, as JSON")
    parser.add_argument("--root", type=Path, default=ROOT, help="the project to deploy (default: this one)")
    parser.add_argument(
        "--until-stdin-closes", action="store_true", help="end when standard input closes, so with the parent process"
    )
    return parser


def _serve(options: argparse.Namespace) -> None:
    given = _parameters(options.parameter)
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(listen(options.port))
        port = int(listener.getsockname()[1])
        # By default these are the API's name on AWS, which does not lead here.
        own = {"OwnHosts": f"127.0.0.1:{port}", "ContactUrl": f"http://127.0.0.1:{port}/docs"}
        parameters = _LOCAL_PARAMETERS | own | given
        # The stack inherits the lock: the state stays locked until the stack has ended, even if this process dies.
        inherited = [listener.fileno()]
        inherited += [stack.enter_context(_lock(options.state_dir)).fileno()] if options.state_dir else []
        prefix = shell_file.folder_prefix(port)
        private = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True)))
        (private / "tmp").mkdir()
        state = options.state_dir.resolve() if options.state_dir else None
        log = (state or private) / "stack.log"
        order = Order(str(options.root.resolve()), str(private), str(log), port, listener.fileno(), parameters)
        # The stack's own code is always this project's, even when another project is deployed.
        url, secret = f"http://127.0.0.1:{port}", new_secret()
        variables = environment(private, state, url, secret) | {"PYTHONPATH": PYTHON_PATH}
        settings = shell_file.write(private, url, secret)
        supervisor = stack.enter_context(
            Supervisor(order, variables, inherited, stop_on_input_end=options.until_stdin_closes)
        )
        # Only the stack listens from here on: once it ends, connections must be refused.
        listener.close()
        _follow(supervisor, log, options.info_file, settings)


def _parameters(assignments: Sequence[str]) -> dict[str, str]:
    parameters = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not name or not equals:
            raise CannotServeError(f"--parameter takes NAME=VALUE, not {assignment!r}")
        parameters[name] = value
    return parameters


def _lock(state_dir: Path) -> IO[str]:
    try:
        make_private(state_dir, mark=_LOCK)
        lock = (state_dir / _LOCK).open("w")
    except NotPrivateError as error:
        raise CannotServeError(f"state directory {state_dir}: {error}") from None
    except OSError as error:
        raise CannotServeError(f"state directory {state_dir}: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise CannotServeError(f"another stack uses the state directory {state_dir}") from None
    return lock


def _follow(supervisor: Supervisor, log: Path, info_file: Path | None, settings: Path) -> None:
    """Announce the stack once it is up, and return when it is asked to end."""
    try:
        report = supervisor.report()
        if report is None:
            return
        if report.info is None:
            tail = f"; the end of its log:\n{log_tail(log)}" if report.show_log else ""
            raise CannotServeError(f"{report.error}{tail}")
        if info_file:
            report.info.write(info_file)
        with samples(settings.parent) as examples:
            _announce(report.info, settings, examples)
            supervisor.wait()
    except StackEndedError:
        raise CannotServeError(f"the stack ended unexpectedly; the end of its log:\n{log_tail(log)}") from None
    finally:
        if info_file:
            info_file.unlink(missing_ok=True)


def _announce(info: StackInfo, settings: Path, examples: Samples) -> None:
    print(f"URL   {info.url}  (its description: {info.url}/docs)")
    print(f"Web   {info.url}/  (the console, for a browser)")
    print(f"Key   {info.api_key}")
    print(f"Log   {info.log}")
    print(f"AWS   . {shlex.quote(str(settings))}  (then the AWS CLI and SDKs of that shell reach table and queue)")
    print(f"Try   {submit_command(info.url, info.api_key, examples.store_id, examples.image_url)}")
    print(f"Or    {pulse_command(info.url, info.api_key, examples.visits_file)}")
    print("ready", flush=True)


def log_tail(*logs: Path) -> str:
    """Return the last lines of each log, indented."""
    try:
        texts = [log.read_text(encoding="utf-8", errors="replace") for log in logs]
    except OSError as error:
        return str(error)
    return "\n".join(f"  {line}" for text in texts for line in text.splitlines()[-_LOG_TAIL_LINES:])


if __name__ == "__main__":
    sys.exit(main())
