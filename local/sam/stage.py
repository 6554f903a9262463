"""The whole service on `sam local`: the built functions in Lambda containers, the embedded stack's table and queue."""

import contextlib
import http.client
import json
import select
import socket
import subprocess
import tempfile
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from local.checkout import ARCHITECTURE, ROOT
from local.emulator.clients import client
from local.lambda_host import events
from local.lambda_host.poller import InvocationError, QueuePoller, repeating
from local.sam import build
from local.sam.environment import environment
from local.sam.host import ADD_HOST, bridge_address, relay
from local.stack.process import StackProcess, end
from local.stack.serve import free_port, log_tail

_READY_SECONDS = 120.0
_REPROCESS_SECONDS = 300.0
_MAX_INVOCATION_SECONDS = 150
_POLL_SECONDS = 0.2


class StageError(RuntimeError):
    """`sam local` did not start or ended unexpectedly; the text includes the end of SAM's output."""


class SamLocalStage:
    """A stage on `sam local`: up inside the ``with`` block, gone with its containers after it.

    `sam local start-api` serves the API, `sam local start-lambda` the functions that events trigger. The embedded stack
    has the table and the queue; its own functions do not use them.

    Parameters
    ----------
    port
        Port of the API on 127.0.0.1; 0 takes a free one. The attribute `url` is the API's base URL.
    takes_events
        Whether the queue and the schedule trigger functions, as on AWS.
    asked_to_end
        Set, for example by a signal handler, to end the stage; this also interrupts the start.

    Raises
    ------
    StageError
        On entering, when SAM did not start, or the stage was asked to end first.
    PortError
        On entering, when another program has the port.
    """

    def __init__(
        self, *, port: int = 0, takes_events: bool = True, asked_to_end: threading.Event | None = None
    ) -> None:
        self._port = port
        self._takes_events = takes_events
        self._asked_to_end = asked_to_end or threading.Event()
        self._servers: dict[str, subprocess.Popen[bytes]] = {}
        self._ends = contextlib.ExitStack()
        self.stack = StackProcess()

    def __enter__(self) -> Self:
        with self._ends:
            # SAM reports a port in use only after seconds; until then, the other program would pass for SAM.
            free_port(self._port)
            address = bridge_address()
            self._folder = Path(self._ends.enter_context(tempfile.TemporaryDirectory(prefix="retail-pulse-sam-")))
            self._ends.enter_context(self.stack)
            _stop_triggers(self.stack)
            self._ends.callback(_remove_containers)
            inside = self._ends.enter_context(relay(urlsplit(self.stack.endpoint_url).port or 80, address))
            self._arguments = self._common_arguments(inside, address)
            # SAM publishes containers on random ports from 5000 to 9000; free ports of the system are above.
            server = self._start("start-lambda", free_port())
            # An invocation may take as long as the function's time-out, and a retried one would run twice.
            retries = {"max_attempts": 0}
            self._lambda = client("lambda", server, read_timeout=_MAX_INVOCATION_SECONDS, retries=retries)
            port = self._port or free_port()
            self.url = self._start("start-api", port)
            self._wait_until_ready(port)
            if self._takes_events:
                self._ends.enter_context(repeating(self.poller().poll, 0))
                reprocess = partial(self.invoke, "ReprocessFunction", events.event("reprocess"))
                self._ends.enter_context(repeating(reprocess, _REPROCESS_SECONDS))
            self._ends = self._ends.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    def wait(self) -> None:
        """Wait until the stage is asked to end. Raise `StageError` if a part of it ends unexpectedly."""
        while not self._asked_to_end.wait(_POLL_SECONDS):
            self._check()

    def _check(self) -> None:
        for kind, process in self._servers.items():
            if process.poll() is not None:
                raise StageError(f"sam local {kind} ended unexpectedly; the end of its log:\n{self._tail(kind)}")
        if self.stack.has_ended:
            self.stack.stop()
            raise StageError(f"the embedded stack ended unexpectedly:\n{self.stack.output}")

    def invoke(self, function: str, event: dict[str, Any]) -> Any:
        """Invoke a function by its logical ID through `sam local start-lambda`; return its response.

        Raise `InvocationError` if the function fails.
        """
        response = self._lambda.invoke(FunctionName=function, Payload=json.dumps(event))
        return _answer(function, response["Payload"].read().decode() or "null")

    def invoke_once(self, function: str, event: dict[str, Any]) -> Any:
        """Invoke a function by `sam local invoke`, in a new container; return its response, or raise as `invoke`."""
        command = ["sam", "local", "invoke", function, "--event", "-", *self._arguments]
        done = subprocess.run(
            command, input=json.dumps(event), cwd=ROOT, env=self._environment(),
            capture_output=True, text=True, timeout=_MAX_INVOCATION_SECONDS, check=False,
        )  # fmt: skip
        if not (lines := done.stdout.strip().splitlines()):
            raise InvocationError(f"{function}: {done.stderr}")
        return _answer(function, lines[-1])

    def poller(self) -> QueuePoller:
        """Return a poller that invokes the process function with the queue's messages."""
        # Lambda's pollers wait for up to 20 s, which would delay the end.
        invoke = partial(self.invoke, "ProcessFunction")
        return QueuePoller(self.stack.client("sqs"), self.stack.queue_url, invoke, wait_seconds=1)

    def _common_arguments(self, endpoint_url: str, host_address: str) -> list[str]:
        variables = self._folder / "variables.json"
        values = {
            "TABLE_NAME": self.stack.table_name,
            "QUEUE_URL": endpoint_url + urlsplit(self.stack.queue_url).path,
            "LOCAL_KEY": self.stack.api_key,
            # The image servers of this machine; 127.0.0.1 would be the container itself.
            "ALLOWED_NETWORKS": f"{host_address}/32",
            "ALLOWED_PORTS": "1-65535",
            "OWN_HOSTS": f"{host_address}:{urlsplit(endpoint_url).port}",
        }
        build.write_variables(variables, values, endpoint_url)
        return [
            "--template", str(build.write_template()),
            "--env-vars", str(variables),
            "--add-host", ADD_HOST,
            "--parameter-overrides", f"Architecture={ARCHITECTURE}",
        ]  # fmt: skip

    def _environment(self) -> dict[str, str]:
        # SAM keeps locks of its image builds in the temporary folder. A killed build leaves its lock there, and the
        # next one would wait five minutes for it.
        return environment(self.stack.endpoint_url, self.stack.secret) | {"TMPDIR": str(self._folder)}

    def _start(self, kind: str, port: int) -> str:
        """Start one of SAM's servers; return its URL."""
        command = ["sam", "local", kind, *self._arguments, "--port", str(port), "--warm-containers", "LAZY"]
        output = self._ends.enter_context(self._log(kind).open("wb"))
        process = self._servers[kind] = subprocess.Popen(
            command, cwd=ROOT, env=self._environment(), stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        # On SIGTERM SAM ends its containers, on SIGINT it does not.
        self._ends.callback(end, process)
        deadline = time.monotonic() + _READY_SECONDS
        while not _is_listened_on(port):
            self._check_start(f"sam local {kind} does not start", deadline)
            time.sleep(_POLL_SECONDS)
        return f"http://127.0.0.1:{port}"

    def _check_start(self, what: str, deadline: float) -> None:
        self._check()
        if self._asked_to_end.is_set():
            raise StageError("asked to end before it was ready")
        if time.monotonic() > deadline:
            raise StageError(f"{what}:\n{self._tail(*self._servers)}")

    def _log(self, kind: str) -> Path:
        return self._folder / f"{kind}.log"

    def _tail(self, *kinds: str) -> str:
        """Return the end of the output of SAM's servers and their functions."""
        return log_tail(*map(self._log, kinds))

    def _wait_until_ready(self, port: int) -> None:
        """Wait until a function responds: for the first request, Docker also builds an image with the layers."""
        deadline = time.monotonic() + _READY_SECONDS
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=_READY_SECONDS)) as connection:
            try:
                connection.request("GET", "/api/health")
                while not select.select([connection.sock], [], [], _POLL_SECONDS)[0]:
                    self._check_start("the API does not answer", deadline)
                status = connection.getresponse().status
            except (OSError, http.client.HTTPException) as error:
                raise StageError(f"the API does not answer: {error}\n{self._tail(*self._servers)}") from error
        # SAM still runs, so the response was from SAM and not from another program.
        self._check()
        if status != http.HTTPStatus.OK:
            raise StageError(f"GET /api/health returned {status}\n{self._tail(*self._servers)}")


def _answer(function: str, text: str) -> Any:
    """Return a function's response. SAM reports success even when the function failed; only the text tells."""
    try:
        answer = json.loads(text)
    except ValueError:
        raise InvocationError(f"{function}: {text}") from None
    # The Lambda runtime's response for an exception.
    if isinstance(answer, dict) and "errorMessage" in answer:
        raise InvocationError(f"{function}: {text}")
    return answer


def _stop_triggers(stack: StackProcess) -> None:
    """Stop the embedded stack's own triggers: the queue's messages are for the containers."""
    functions = stack.client("lambda")
    for mapping in functions.list_event_source_mappings()["EventSourceMappings"]:
        functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    scheduler = stack.client("scheduler")
    for schedule in scheduler.list_schedules()["Schedules"]:
        scheduler.delete_schedule(Name=schedule["Name"], GroupName=schedule["GroupName"])


def containers(*functions: str) -> list[str]:
    """Return the IDs of the containers, in any state, of this checkout's functions or of the given ones."""
    ids: list[str] = []
    for name in functions or build.functions():
        ids += _docker("ps", "--all", "--quiet", "--filter", f"volume={build.FOLDER / name}").split()
    return ids


def _remove_containers() -> None:
    """Remove the containers that SAM has left behind."""
    if left := containers():
        _docker("rm", "--force", *left)


def _docker(*arguments: str) -> str:
    command = ["docker", *arguments]
    # In its own session, so that a second Ctrl-C does not interrupt the cleanup.
    return subprocess.run(command, capture_output=True, text=True, check=False, start_new_session=True).stdout


def _is_listened_on(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
