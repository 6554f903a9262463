"""The deployed functions in a process of their own: invoked as Lambda does, and measured around each invocation.

The handlers are those of functions/, with the variables and the memory that the template gives them. Around them this
does what AWS does: events of API Gateway, and the poller of the queue with its calls.
"""

import importlib.util
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Self

import boto3

from local.emulator.template import Template
from local.lambda_host.table import create_queue, create_table
from retail_pulse.storage.api_keys_table import ApiKeysTable

_ROOT = Path(__file__).resolve().parents[2]
_EVENTS = _ROOT / "tests" / "events"
_TABLE = "jobs"
_CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "benchmark",
    "AWS_SECRET_ACCESS_KEY": "benchmark",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
_KEY = "benchmark-key"
# Logical ids in the template, by the folder's name.
FUNCTIONS = {
    "authorize": "AuthorizeFunction",
    "submit": "SubmitFunction",
    "process": "ProcessFunction",
    "status": "StatusFunction",
    "reprocess": "ReprocessFunction",
}
# What a poller of Lambda waits for messages.
_POLL_SECONDS = 20
_TIMEOUT_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Invocation:
    """One call of a handler.

    Parameters
    ----------
    function
        Its name in functions/.
    seconds, cpu_seconds
        Wall time, and processor time of the whole process meanwhile.
    log_bytes
        What it wrote to its log.
    messages
        Chunks of the batch; 0 for HTTP.
    answer
        What the handler returned.
    sent_bytes
        What came in and went out over HTTP.
    """

    function: str
    seconds: float
    cpu_seconds: float
    log_bytes: int
    messages: int
    answer: Mapping[str, Any]
    sent_bytes: int = 0

    @property
    def body(self) -> Any:
        """The body of an answer over HTTP."""
        return json.loads(self.answer["body"])


class Functions:
    """The functions, warm, within a ``with`` block.

    Parameters
    ----------
    endpoint_url
        Where AWS is.
    parameters
        Template parameters that differ from their defaults.
    """

    def __init__(self, endpoint_url: str, parameters: Mapping[str, str] | None = None) -> None:
        self._arguments = (
            endpoint_url,
            {"AllowedNetworks": "127.0.0.0/8", "AllowedPorts": "1-65535"} | dict(parameters or {}),
        )
        spawn = multiprocessing.get_context("spawn")
        self._ours, self._theirs = spawn.Pipe()
        self._process = spawn.Process(target=_run, args=(self._theirs, *self._arguments), daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        self._theirs.close()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ours.close()
        self._process.join(10)

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self._process.pid is not None
        return self._process.pid

    def authorize(self) -> Invocation:
        """Ask the authorizer about a key that is known."""
        found: Invocation = self._call("authorize", None)
        return found

    def submit(self, body: str) -> Invocation:
        """Submit a job."""
        found: Invocation = self._call("submit", body)
        return found

    def validate(self, body: str) -> float:
        """Return the seconds of processor that validating a body takes in the submit function's process."""
        taken: float = self._call("validate", body)
        return taken

    def peak_bytes(self) -> int:
        """Return the most memory that the process has had so far."""
        found: int = self._call("peak_bytes", None)
        return found

    def status(self, job_id: int) -> Invocation:
        """Ask how a job stands."""
        found: Invocation = self._call("status", job_id)
        return found

    def process(self, messages: int, batch: int | None = None) -> list[Invocation]:
        """Have the queue's poller call the process function until so many messages are done.

        Parameters
        ----------
        messages
            How many there are.
        batch
            Most messages of a batch; as the template has it by default.
        """
        found: list[Invocation] = self._call("process", (messages, batch))
        return found

    def _call(self, name: str, argument: Any) -> Any:
        self._ours.send((name, argument))
        answer = self._ours.recv()
        if isinstance(answer, BaseException):
            raise answer
        return answer


def job_body(urls: Sequence[str], stores: Sequence[str], images_a_visit: int = 4) -> str:
    """Return the body of a job with these images, the stores in turn."""
    visits = [
        {
            "store_id": stores[start // images_a_visit % len(stores)],
            "image_url": urls[start : start + images_a_visit],
            "visit_time": "2026-11-23T10:00:00Z",
        }
        for start in range(0, len(urls), images_a_visit)
    ]
    return json.dumps({"count": len(visits), "visits": visits}, separators=(",", ":"))


class _Context:
    """What Lambda hands to a handler."""

    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:benchmark"
    aws_request_id = "52fdfc07-2182-154f-163f-5f0f9a621d72"

    def __init__(self, function_name: str, memory: int, seconds: float) -> None:
        self.function_name = function_name
        self.memory_limit_in_mb = memory
        self._until = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._until - time.monotonic()) * 1000))


def _run(parent: Connection, endpoint_url: str, parameters: Mapping[str, str]) -> None:
    """Serve calls until the parent closes its end."""
    worker = _Worker(endpoint_url, parameters)
    while True:
        try:
            name, argument = parent.recv()
        except EOFError:
            os._exit(0)
        try:
            parent.send(getattr(worker, name)(argument))
        except Exception as error:  # noqa: BLE001  # the parent raises it
            parent.send(RuntimeError(f"{type(error).__name__}: {error}"))


class _Worker:
    def __init__(self, endpoint_url: str, parameters: Mapping[str, str]) -> None:
        os.environ.update(_CREDENTIALS | {"AWS_ENDPOINT_URL": endpoint_url})
        # The log goes to a file that has no name: what is written is counted.
        with tempfile.TemporaryFile() as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        self._sqs = boto3.client("sqs")
        dynamodb = boto3.client("dynamodb")
        create_table(dynamodb, _TABLE)
        ApiKeysTable(dynamodb, _TABLE).issue(_KEY, "me")
        self._queue = create_queue(self._sqs, "chunks")
        self._template = Template(parameters=parameters)
        self._memory = {name: self._template.memory_megabytes(logical_id) for name, logical_id in FUNCTIONS.items()}
        self._batch = int(self._template.parameters["ProcessBatchSize"])
        self._modules: dict[str, ModuleType] = {}

    def authorize(self, _: None) -> Invocation:
        event = json.loads((_EVENTS / "authorize.json").read_text())
        return self._invoke("authorize", event | {"headers": event["headers"] | {"x-api-key": _KEY}})

    def submit(self, body: str) -> Invocation:
        event = json.loads((_EVENTS / "submit.json").read_text()) | {"body": body}
        return self._invoke("submit", event)

    def validate(self, body: str) -> float:
        if "submit" not in self._modules:
            self._load("submit")
        submit, encoded = self._modules["submit"], body.encode()
        begin = time.process_time()
        submit.parse_submission(encoded, submit.limits)
        return time.process_time() - begin

    def peak_bytes(self, _: None) -> int:
        # In kilobytes, on macOS in bytes.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

    def status(self, job_id: int) -> Invocation:
        event = json.loads((_EVENTS / "status.json").read_text())
        return self._invoke("status", event | {"queryStringParameters": {"jobid": str(job_id)}})

    def process(self, argument: tuple[int, int | None]) -> list[Invocation]:
        messages, batch = argument
        (record,) = json.loads((_EVENTS / "process.json").read_text())["Records"]
        invocations = []
        while messages > 0:
            found = self._sqs.receive_message(
                QueueUrl=self._queue,
                MaxNumberOfMessages=batch or self._batch,
                WaitTimeSeconds=_POLL_SECONDS,
                MessageSystemAttributeNames=["All"],
            ).get("Messages", [])
            if not found:
                raise LookupError(f"{messages} messages are missing")
            records = [
                record | {"messageId": each["MessageId"], "body": each["Body"], "attributes": each["Attributes"]}
                for each in found
            ]
            invocations.append(self._invoke("process", {"Records": records}, len(found)))
            failed = {each["itemIdentifier"] for each in invocations[-1].answer["batchItemFailures"]}
            done = [each["ReceiptHandle"] for each in found if each["MessageId"] not in failed]
            self._sqs.delete_message_batch(
                QueueUrl=self._queue,
                Entries=[{"Id": str(n), "ReceiptHandle": receipt} for n, receipt in enumerate(done)],
            )
            messages -= len(done)
        return invocations

    def _invoke(self, name: str, event: Mapping[str, Any], messages: int = 0) -> Invocation:
        module = self._modules.get(name) or self._load(name)
        context = _Context(name, self._memory[name], _TIMEOUT_SECONDS)
        logged = os.fstat(1).st_size
        begin, cpu = time.perf_counter(), time.process_time()
        answer = module.handler(event, context)
        seconds, cpu_seconds = time.perf_counter() - begin, time.process_time() - cpu
        log_bytes = os.fstat(1).st_size - logged
        sent_bytes = len(event.get("body") or "") + len(answer.get("body") or "")
        return Invocation(name, seconds, cpu_seconds, log_bytes, messages, answer, sent_bytes)

    def _load(self, name: str) -> ModuleType:
        """Load a function as a cold start does."""
        os.environ.update(self._template.environment(FUNCTIONS[name], {"JobsTable": _TABLE, "ChunkQueue": self._queue}))
        spec = importlib.util.spec_from_file_location(f"{name}_app", _ROOT / "functions" / name / "app.py")
        if spec is None or spec.loader is None:
            raise FileNotFoundError(name)
        module = self._modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
