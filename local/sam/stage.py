"""The whole service on `sam local`: the built functions in Lambda containers, the embedded stack's table and queue."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self
from urllib.parse import urlsplit

import boto3
import requests
from botocore.config import Config

from local.names import AWS_KEY, REGION
from local.process import StackProcess
from local.sam import build
from local.sam.events import InvocationError, QueuePoller, Repeater, schedule_event
from local.sam.host import ADD_HOST, Relay, bridge_address

# SAM publishes containers on random ports from 5000 to 9000; its own servers stay out of that.
_END_SECONDS = 20.0
# The first request also has Docker build an image with the layers.
_READY_SECONDS = 120.0
_REPROCESS_SECONDS = 300.0
_LONGEST_INVOCATION_SECONDS = 150


class StageError(RuntimeError):
    """`sam local` did not come up; the text holds what SAM has printed."""


class SamLocalStage:
    """A stage on `sam local`: up inside the ``with`` block, gone with its containers after it.

    `sam local start-api` serves the API, `sam local start-lambda` the functions that events trigger. The embedded stack
    has the table and the queue; its own functions take nothing from them.

    Parameters
    ----------
    port
        Port of the API on 127.0.0.1; 0 takes a free one.
    takes_events
        Whether the queue and the schedule trigger functions, as on AWS.

    Attributes
    ----------
    url
        Base URL of the API.
    stack
        The embedded stack, for its key, table and queue.
    host_address
        The address of this machine as containers see it; images may come from there.

    Raises
    ------
    StageError
        On entering: SAM did not come up.
    """

    def __init__(self, *, port: int = 0, takes_events: bool = True) -> None:
        self._port = port
        self._takes_events = takes_events
        self._ends = contextlib.ExitStack()
        self.stack = StackProcess()
        self.host_address = ""
        self.url = ""
        self._lambda: Any = None
        self._folder = Path()
        self._arguments: list[str] = []

    def __enter__(self) -> Self:
        with self._ends:
            self.host_address = bridge_address()
            self._folder = Path(self._ends.enter_context(tempfile.TemporaryDirectory(prefix="retail-pulse-sam-")))
            self._ends.enter_context(self.stack)
            _take_nothing(self.stack)
            self._ends.callback(_remove_containers)
            inside = self._ends.enter_context(self.relay(self.stack.endpoint_url))
            self._arguments = self._common_arguments(inside.url)
            functions = self._start("start-lambda", _free_port())
            self.url = self._start("start-api", self._port or _free_port())
            self._lambda = self._lambda_client(functions)
            self._wait_until_ready()
            if self._takes_events:
                poller = QueuePoller(self.stack.client("sqs"), self.stack.queue_url, self.invoke)
                self._ends.enter_context(Repeater(poller.poll, 0))
                self._ends.enter_context(Repeater(self._reprocess, _REPROCESS_SECONDS))
            self._ends = self._ends.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ends.close()

    def relay(self, url: str) -> Relay:
        """Return what makes a server on 127.0.0.1 reachable for the functions, to be entered."""
        return Relay(urlsplit(url).port or 80, self.host_address)

    def invoke(self, function: str, event: dict[str, Any]) -> Any:
        """Invoke a function by its logical id, by way of `sam local start-lambda` and boto3; return its answer.

        Raises
        ------
        InvocationError
            It failed.
        """
        response = self._lambda.invoke(FunctionName=function, Payload=json.dumps(event))
        return _answer(function, response["Payload"].read().decode() or "null")

    def invoke_once(self, function: str, event: dict[str, Any]) -> Any:
        """Invoke a function by `sam local invoke`, in a container of its own; return its answer.

        Raises
        ------
        InvocationError
            It failed.
        """
        command = ["sam", "local", "invoke", function, "--event", "-", *self._arguments]
        done = subprocess.run(
            command, input=json.dumps(event), cwd=build.ROOT, env=self._environment(), capture_output=True, text=True,
            timeout=_LONGEST_INVOCATION_SECONDS, check=False,
        )  # fmt: skip
        try:
            last = done.stdout.strip().splitlines()[-1]
        except IndexError:
            raise InvocationError(f"{function}: {done.stderr}") from None
        return _answer(function, last)

    @property
    def log(self) -> str:
        """What SAM and the functions have printed so far."""
        return "".join(path.read_text("utf-8", "replace") for path in sorted(self._folder.glob("*.log")))

    def _common_arguments(self, endpoint_url: str) -> list[str]:
        variables = self._folder / "variables.json"
        values = {
            "TABLE_NAME": self.stack.table_name,
            "QUEUE_URL": endpoint_url + urlsplit(self.stack.queue_url).path,
            # Where this machine's own image servers are; 127.0.0.1 is the container itself.
            "ALLOWED_NETWORKS": f"{self.host_address}/32",
            "ALLOWED_PORTS": "1-65535",
        }
        build.write_variables(variables, values, endpoint_url)
        return [
            "--template", str(build.write_template()),
            "--env-vars", str(variables),
            "--add-host", ADD_HOST,
            "--parameter-overrides", f"Architecture={build.ARCHITECTURE}",
        ]  # fmt: skip

    def _environment(self) -> dict[str, str]:
        # What SAM itself asks of AWS (whose account is it?) the embedded stack answers.
        return {
            **os.environ,
            "AWS_ENDPOINT_URL": self.stack.endpoint_url,
            "AWS_ACCESS_KEY_ID": AWS_KEY,
            "AWS_SECRET_ACCESS_KEY": AWS_KEY,
            "AWS_DEFAULT_REGION": REGION,
            "SAM_CLI_TELEMETRY": "0",
        }

    def _start(self, kind: str, port: int) -> str:
        """Start one of SAM's servers; return its URL."""
        command = ["sam", "local", kind, *self._arguments, "--port", str(port), "--warm-containers", "LAZY"]
        output: IO[bytes] = self._ends.enter_context((self._folder / f"{kind}.log").open("wb"))
        process = subprocess.Popen(
            command, cwd=build.ROOT, env=self._environment(), stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        self._ends.callback(_end, process)
        deadline = time.monotonic() + _READY_SECONDS
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return f"http://127.0.0.1:{port}"
            if process.poll() is not None or time.monotonic() > deadline:
                raise StageError(f"sam local {kind} did not come up:\n{self.log}")
            time.sleep(0.2)

    def _lambda_client(self, url: str) -> Any:
        # An invocation may take as long as the function may; and one that is repeated runs twice.
        config = Config(read_timeout=_LONGEST_INVOCATION_SECONDS, retries={"max_attempts": 0}, proxies={})
        return boto3.client(
            "lambda", endpoint_url=url, region_name=REGION, aws_access_key_id=AWS_KEY, aws_secret_access_key=AWS_KEY,
            config=config,
        )  # fmt: skip

    def _wait_until_ready(self) -> None:
        with requests.Session() as session:
            session.trust_env = False
            try:
                answer = session.get(f"{self.url}/api/health", timeout=_READY_SECONDS)
            except requests.RequestException as error:
                raise StageError(f"the API does not answer: {error}\n{self.log}") from error
        if answer.status_code != requests.codes.ok:
            raise StageError(f"GET /api/health answers {answer.status_code}\n{self.log}")

    def _reprocess(self) -> None:
        self.invoke("ReprocessFunction", schedule_event())


def _answer(function: str, text: str) -> Any:
    """Return a function's answer. SAM reports success also of a function that failed: only the text tells."""
    try:
        answer = json.loads(text)
    except ValueError:
        raise InvocationError(f"{function}: {text}") from None
    # What the Lambda runtime makes of an exception.
    if isinstance(answer, dict) and "errorMessage" in answer:
        raise InvocationError(f"{function}: {text}")
    return answer


def _take_nothing(stack: StackProcess) -> None:
    """Stop the embedded stack's own triggers: what is in the queue is for the containers."""
    functions = stack.client("lambda")
    for mapping in functions.list_event_source_mappings()["EventSourceMappings"]:
        functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    scheduler = stack.client("scheduler")
    for schedule in scheduler.list_schedules()["Schedules"]:
        scheduler.delete_schedule(Name=schedule["Name"], GroupName=schedule["GroupName"])


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End one of SAM's servers: SIGTERM has it end its containers, SIGINT does not."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _remove_containers() -> None:
    """Remove the containers of this checkout's functions that SAM has left behind."""
    for name in build.functions():
        command = ["docker", "ps", "--all", "--quiet", "--filter", f"volume={build.FOLDER / name}"]
        left = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
        if left:
            command = ["docker", "rm", "--force", *left]
            subprocess.run(command, capture_output=True, check=False)


def _free_port() -> int:
    """Return a port that nobody listens on; the system gives out high ones, beyond those that SAM takes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
