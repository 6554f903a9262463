"""A worker: a deployed function in its own process, with faults around its clients.

It does for the function what Lambda, the event source mapping and the scheduler do. It ends at its planned death,
or when it is told to end.
"""

import json
import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from local.emulator.descriptors import limit_descriptors
from local.lambda_host.context import Context
from local.lambda_host.events import Event, api_event, event
from local.lambda_host.load import load
from local.lambda_host.poller import Message, QueuePoller
from retail_pulse.domain.jobs import ClientRetryPolicy
from retail_pulse.storage import clients
from retail_pulse.storage.queue import decode
from tests.faults.injection import Death, FaultyDynamoDB, FaultySQS, Injector, Journal, deadly

# The time of an invocation, and what the longest image takes of it. The queue hides a message for longer than this.
INVOCATION_SECONDS = 2.5
_LONGEST_IMAGE_MILLISECONDS = 1_000
_POLL_SECONDS = 0.1
_SWEEP_SECONDS = 0.3
# Between two sweeps of a job, in place of an hour.
_MAX_WAIT_SECONDS = 8
_SKEWS = (-3.0, -1.5, 1.5, 3.0)
# A run is shorter than the minute between two retries.
_AT_ANY_TIME = ClientRetryPolicy(min_seconds=0, max_retries=10**6)
# Files in the folder of a run.
JOURNAL, STOP = "journal", "stop"


@dataclass(frozen=True, slots=True)
class Call:
    """A client's request: a submission or a retry of a job, with its number within the run."""

    number: int
    path: str
    body: str = ""
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Orders:
    """A worker's task.

    Parameters
    ----------
    role
        The function's name.
    seed
        Seed of its random numbers.
    environment
        Variables of the function and of the AWS SDK.
    queue_url
        The queue that it polls.
    folder
        The folder of the run's journal, of the workers' log, and of the file that ends them once it exists.
    strength, death
        See `Injector`.
    calls
        For submit: the requests, sent one after the other.
    """

    role: str
    seed: int
    environment: Mapping[str, str]
    queue_url: str
    folder: Path
    strength: float
    death: Death | None = None
    calls: Sequence[Call] = ()

    @property
    def stopped(self) -> bool:
        """Return whether the worker is told to end."""
        return (self.folder / STOP).exists()


def main(orders: Orders) -> None:
    """Run a worker in this process, which is its own."""
    log = os.open(orders.folder / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    limit_descriptors()
    os.environ.update(orders.environment)
    random.seed(orders.seed)
    journal = Journal(orders.folder / JOURNAL)
    injector = Injector(orders.role, random.Random(orders.seed), journal, orders.strength, orders.death)
    function = load(orders.role)
    skew = timedelta(seconds=injector.random.choice(_SKEWS) if injector.hits("clock skewed") else 0)

    def now() -> datetime:
        return datetime.now(UTC) + skew

    {"submit": _submit, "process": _process, "reprocess": _reprocess}[orders.role](orders, injector, function, now)


def _with_faults(table: Any, queue: Any, injector: Injector) -> None:
    table._table._client = FaultyDynamoDB(table._table._client, injector)
    queue._client = FaultySQS(queue._client, injector)


def _submit(orders: Orders, injector: Injector, function: Any, now: Callable[[], datetime]) -> None:
    _with_faults(function.table, function.queue, injector)
    function.usage._store._table._client = FaultyDynamoDB(function.usage._store._table._client, injector)
    function.usage._now = now
    function.submission = replace(function.submission, now=now)
    function.retrying = replace(function.retrying, now=now, policy=_AT_ANY_TIME)
    for call in orders.calls:
        if orders.stopped:
            return
        headers = {"idempotency-key": call.idempotency_key} if call.idempotency_key else {}
        request = api_event("POST", call.path, body=call.body, headers=headers)
        answer = function.handler(request, Context(seconds=29))
        injector.journal.write(answered=call.number, status=answer["statusCode"], body=json.loads(answer["body"]))


def _process(orders: Orders, injector: Injector, function: Any, now: Callable[[], datetime]) -> None:
    processing = function.processing
    _with_faults(processing._store, processing._queue, injector)
    for part in (processing, processing._poison, function.measurer):
        part._now = now
    function.pool._measure = deadly(function.pool._measure, injector)
    function._LONGEST_IMAGE_MILLISECONDS = _LONGEST_IMAGE_MILLISECONDS
    # Messages of a worker that died, or that gave them back, come again as soon as those of the queue's own time.
    function._VISIBILITY_MARGIN_SECONDS = function._FIRST_REDELIVERY_SECONDS = 0

    def invoke(event: Event) -> Any:
        seconds = INVOCATION_SECONDS
        if injector.hits("time of the invocation short"):
            seconds = injector.random.uniform(0.5, 1.2)
        return function.handler(event, Context(seconds=seconds))

    poller = _Poller(injector, clients.sqs(), orders.queue_url, invoke)
    while not orders.stopped:
        if not poller.poll():
            time.sleep(_POLL_SECONDS)


class _Poller(QueuePoller):
    """Shuffles the messages, and loses acknowledgements."""

    def __init__(self, injector: Injector, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._injector = injector

    def receive(self) -> list[Message]:
        messages = super().receive()
        self._injector.random.shuffle(messages)
        pointers = [decode(message["Body"]) for message in messages]
        self._injector.holds = sorted({f"{pointer.nonce}#{pointer.chunk}" for pointer in pointers})
        return messages

    def delete(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self._injector.comes_to("acknowledge", "before")
            if not self._injector.hits("acknowledgement lost"):
                super().delete([message])
            self._injector.comes_to("acknowledge", "after")


def _reprocess(orders: Orders, injector: Injector, function: Any, now: Callable[[], datetime]) -> None:
    reprocessing = function.reprocessing
    _with_faults(reprocessing._store, reprocessing._queue, injector)
    reprocessing._now = now
    reprocessing._sweeps = reprocessing._sweeps._replace(max_seconds=_MAX_WAIT_SECONDS)
    while not orders.stopped:
        function.handler(event("reprocess"), Context(seconds=60))
        time.sleep(_SWEEP_SECONDS)
