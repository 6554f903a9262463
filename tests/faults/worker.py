"""A worker: a function as it is deployed, in a process of its own, with faults around its clients.

It does what Lambda, the event source mapping and the scheduler do around a function: it polls, hands over events, takes
the answer, and acknowledges. It ends when its death comes, or when it is told to.
"""

import importlib.util
import json
import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

from local.checkout import ROOT
from retail_pulse.storage.queue import decode
from tests.faults.injection import Death, FaultyDynamoDB, FaultySQS, Injector, Journal, deadly

# What an invocation has, and what the longest image takes of it; the queue hides a message for longer than this.
INVOCATION_SECONDS = 2.5
_LONGEST_IMAGE_MILLISECONDS = 1_000
_POLL_SECONDS = 0.1
_LOOK_SECONDS = 0.3
# Between two looks at a job, in place of an hour.
_LONGEST_WAIT_SECONDS = 8
_SKEWS = (-3.0, -1.5, 1.5, 3.0)


@dataclass(frozen=True, slots=True)
class Call:
    """A request of a client: a submission with its number within the run, or a retry of a job."""

    number: int
    path: str
    body: str = ""
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Orders:
    """What a worker is to do.

    Parameters
    ----------
    role
        The function's name.
    environment
        The function's, with the SDK's.
    queue_url
        The queue that it polls.
    journal, log, stop
        Files: where faults and calls are written, where its lines go, and whose being there ends it.
    strength, death
        See `Injector`.
    calls
        For submit: the requests to hand over, one after the other.
    """

    role: str
    seed: int
    environment: Mapping[str, str]
    queue_url: str
    journal: Path
    log: Path
    stop: Path
    strength: float
    death: Death | None = None
    calls: Sequence[Call] = field(default=())


class _Context:
    """What Lambda hands to a handler."""

    function_name = "faults"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:faults"
    aws_request_id = "52fdfc07-2182-154f-163f-5f0f9a621d72"

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._until - time.monotonic()) * 1000))


def main(orders: Orders) -> None:
    """Run a worker; called in a process of its own."""
    log = os.open(orders.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.update(orders.environment)
    random.seed(orders.seed)
    injector = Injector(orders.role, orders.seed, Journal(orders.journal), orders.strength, orders.death)
    function = _load(orders.role)
    skew = timedelta(seconds=injector.random.choice(_SKEWS) if injector.hits("clock skewed") else 0)

    def now() -> datetime:
        return datetime.now(UTC) + skew

    {"submit": _submit, "process": _process, "reprocess": _reprocess}[orders.role](orders, injector, function, now)


def _load(role: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{role}_app", ROOT / "functions" / role / "app.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(role)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _with_faults(table: Any, queue: Any, injector: Injector) -> None:
    table._table._client = FaultyDynamoDB(table._table._client, injector)
    queue._client = FaultySQS(queue._client, injector)


def _submit(orders: Orders, injector: Injector, function: Any, now: Callable[[], datetime]) -> None:
    _with_faults(function.table, function.queue, injector)
    function.submission = replace(function.submission, now=now)
    function.retrying = replace(function.retrying, now=now)
    journal = Journal(orders.journal)
    event = json.loads((ROOT / "tests" / "events" / "submit.json").read_text())
    for call in orders.calls:
        if orders.stop.exists():
            return
        headers = {"idempotency-key": call.idempotency_key} if call.idempotency_key else {}
        request = event | {"rawPath": call.path, "body": call.body, "headers": event["headers"] | headers}
        answer = function.handler(request, _Context(29))
        journal.write(answered=call.number, status=answer["statusCode"], body=json.loads(answer["body"]))


def _process(orders: Orders, injector: Injector, function: Any, now: Callable[[], datetime]) -> None:
    from retail_pulse.storage import clients

    processing = function.processing
    _with_faults(processing._store, processing._queue, injector)
    for part in (processing, processing._poison, function.measurer):
        part._now = now
    function.pool._measure = deadly(function.pool._measure, injector)
    function._LONGEST_IMAGE_MILLISECONDS = _LONGEST_IMAGE_MILLISECONDS
    sqs = clients.sqs()
    while not orders.stop.exists():
        found = sqs.receive_message(
            QueueUrl=orders.queue_url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["ApproximateReceiveCount"]
        ).get("Messages", [])
        if not found:
            time.sleep(_POLL_SECONDS)
            continue
        injector.random.shuffle(found)
        pointers = [decode(message["Body"]) for message in found]
        injector.holds = sorted({f"{pointer.nonce}#{pointer.chunk}" for pointer in pointers})
        seconds = INVOCATION_SECONDS
        if injector.hits("time of the invocation short"):
            seconds = injector.random.uniform(0.5, 1.2)
        answer = function.handler(_event(found), _Context(seconds))
        failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        for message in found:
            injector.comes_to("acknowledge", "before")
            if message["MessageId"] not in failed and not injector.hits("acknowledgement lost"):
                sqs.delete_message(QueueUrl=orders.queue_url, ReceiptHandle=message["ReceiptHandle"])
            injector.comes_to("acknowledge", "after")


def _event(messages: Sequence[Any]) -> dict[str, Any]:
    (record,) = json.loads((ROOT / "tests" / "events" / "process.json").read_text())["Records"]
    return {
        "Records": [
            record
            | {
                "messageId": message["MessageId"],
                "body": message["Body"],
                "attributes": record["attributes"] | message["Attributes"],
            }
            for message in messages
        ]
    }


def _reprocess(orders: Orders, injector: Injector, function: Any, now: Callable[[], datetime]) -> None:
    reprocessing = function.reprocessing
    _with_faults(reprocessing._store, reprocessing._queue, injector)
    reprocessing._now = now
    reprocessing._sweeps = replace(reprocessing._sweeps, max_seconds=_LONGEST_WAIT_SECONDS)
    while not orders.stop.exists():
        function.handler({}, _Context(60))
        time.sleep(_LOOK_SECONDS)
