"""The deployed functions in their own process, invoked as Lambda does and measured around each invocation.

The handlers are those of functions/, with the variables and the memory that the template gives them.
"""

import json
import os
import resource
import socket
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3

from local.emulator.descriptors import limit_descriptors
from local.emulator.emulator import AWS_VARIABLES
from local.lambda_host.context import Context
from local.lambda_host.environment import FUNCTIONS, environment, template
from local.lambda_host.events import Event, api_event, authorizer_event
from local.lambda_host.load import load
from local.lambda_host.poller import QueuePoller
from local.lambda_host.table import TABLE, create_queue, create_table
from retail_pulse.domain.api_keys import new_key
from retail_pulse.storage.api_keys_table import ApiKeysTable

_STORES = ("S01592176", "S01244300", "S00339218", "S01408764")
_VISIT_IMAGES = 4
_KEY = new_key()
# The time that a poller of Lambda waits for messages.
_POLL_SECONDS = 20
_TIMEOUT_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Invocation:
    """One call of a handler.

    Parameters
    ----------
    function
        The function's folder in functions/.
    seconds, cpu_seconds
        Wall time, and the processor time of the whole process meanwhile.
    log_bytes
        Bytes written to the log.
    messages
        Number of chunks of the batch; 0 for HTTP.
    answer
        The handler's return value.
    sent_bytes
        Bytes of the request's and the response's body.
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
        """The body of an HTTP response."""
        return json.loads(self.answer["body"])


class Functions:
    """The functions, warm: ``with made_in_new_process(Functions, url) as functions``.

    Parameters
    ----------
    endpoint_url
        The AWS endpoint.
    parameters
        Template parameters that differ from their defaults.
    """

    def __init__(self, endpoint_url: str, **parameters: str) -> None:
        limit_descriptors()
        os.environ.update(AWS_VARIABLES | {"AWS_ENDPOINT_URL": endpoint_url})
        # The log goes to a file without a name, so that its bytes can be counted.
        with tempfile.TemporaryFile() as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        self._sqs = boto3.client("sqs")
        dynamodb = boto3.client("dynamodb")
        create_table(dynamodb)
        ApiKeysTable(dynamodb, TABLE).issue(_KEY, "me")
        self._queue = create_queue(self._sqs)
        self._parameters = parameters
        found = template(**parameters)
        self._memory = {name: found.memory_megabytes(logical_id) for name, logical_id in FUNCTIONS.items()}
        self._batch = int(found.parameters["ProcessBatchSize"])
        self._modules: dict[str, ModuleType] = {}

    def pid(self) -> int:
        """Return the process's id."""
        return os.getpid()

    def sockets(self, port: int) -> int:
        """Return how many sockets are connected to a port, on any address."""
        return sum(peer == port for peer in map(_peer_port, Path("/proc/self/fd").iterdir()))

    def peak_bytes(self) -> int:
        """Return the peak memory of the process so far."""
        # In kilobytes, on macOS in bytes.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

    def authorize(self) -> Invocation:
        """Call the authorizer with a known key."""
        return self._invoke("authorize", authorizer_event(_KEY))

    def submit(self, body: str) -> Invocation:
        """Submit a job."""
        return self._invoke("submit", api_event("POST", "/api/submit", body=body))

    def validate(self, body: str) -> float:
        """Return the processor time that the submit function takes to validate a body."""
        submit, encoded = self._module("submit"), body.encode()
        begin = time.process_time()
        submit.parse_submission(encoded, submit.limits)
        return time.process_time() - begin

    def status(self, job_id: int) -> Invocation:
        """Request a job's status."""
        return self._invoke("status", api_event("GET", "/api/status", query={"jobid": str(job_id)}))

    def process(self, messages: int, batch: int | None = None) -> list[Invocation]:
        """Invoke the process function with the queue's messages until that many were received.

        Parameters
        ----------
        messages
            Number of messages.
        batch
            Maximum number of messages per batch; the template's by default.
        """
        invocations: list[Invocation] = []

        def invoke(event: Event) -> Mapping[str, Any]:
            invocations.append(self._invoke("process", event, len(event["Records"])))
            return invocations[-1].answer

        size = batch or self._batch
        poller = QueuePoller(self._sqs, self._queue, invoke, batch_size=size, wait_seconds=_POLL_SECONDS)
        while messages > 0:
            received = poller.poll()
            if not received:
                raise LookupError(f"{messages} messages are missing")
            messages -= received
        return invocations

    def _invoke(self, name: str, event: Event, messages: int = 0) -> Invocation:
        module = self._module(name)
        context = Context(name, self._memory[name], _TIMEOUT_SECONDS)
        logged = os.fstat(1).st_size
        begin, cpu = time.perf_counter(), time.process_time()
        answer = module.handler(event, context)
        seconds, cpu_seconds = time.perf_counter() - begin, time.process_time() - cpu
        log_bytes = os.fstat(1).st_size - logged
        sent_bytes = len(event.get("body") or "") + len(answer.get("body") or "")
        return Invocation(name, seconds, cpu_seconds, log_bytes, messages, answer, sent_bytes)

    def _module(self, name: str) -> ModuleType:
        """Return the function's module, loaded by its first call."""
        if name not in self._modules:
            os.environ.update(environment(name, self._parameters, JobsTable=TABLE, ChunkQueue=self._queue))
            os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] = str(self._memory[name])
            self._modules[name] = load(name)
        return self._modules[name]


def _peer_port(descriptor: Path) -> int | None:
    """Return the port that a descriptor is connected to; None for what is not a connection."""
    try:
        with socket.socket(fileno=os.dup(int(descriptor.name))) as found:
            port: int = found.getpeername()[1]
            return port
    except OSError:
        return None


def job_body(urls: Sequence[str]) -> str:
    """Return the request body of a job with these images, for some stores in turn."""
    visits = [
        {
            "store_id": _STORES[start // _VISIT_IMAGES % len(_STORES)],
            "image_url": urls[start : start + _VISIT_IMAGES],
            "visit_time": "2026-11-23T10:00:00Z",
        }
        for start in range(0, len(urls), _VISIT_IMAGES)
    ]
    return json.dumps({"count": len(visits), "visits": visits}, separators=(",", ":"))
