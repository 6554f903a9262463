"""Faults around the AWS clients and around measuring: what goes wrong, how often, and where a worker dies.

The functions know nothing of this: a worker loads a function as it is deployed, and replaces its clients with these.
"""

import json
import os
import random
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from botocore.exceptions import ClientError, ConnectionClosedError

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.domain.hosts import Slot
from retail_pulse.domain.image_requests import ImageRequest
from retail_pulse.domain.outcomes import Measured
from retail_pulse.use_cases.image_pool import Measure
from tests.faults.steps import step_of

# By kind: the probability of the fault at each request that it can hit.
RATES: Mapping[str, float] = {
    "DynamoDB throttles": 0.02,
    "DynamoDB returns 5xx": 0.02,
    "DynamoDB's response is lost, the write is done": 0.02,
    "DynamoDB's response is lost, the write is repeated": 0.05,
    "UnprocessedItems": 0.15,
    "UnprocessedKeys": 0.25,
    "SQS throttles": 0.05,
    "SQS returns 5xx": 0.05,
    "SQS fails some entries": 0.10,
    "SQS accepts messages, the response is lost": 0.10,
    "message lost": 0.08,
    "message duplicated": 0.12,
    "message delayed": 0.10,
    "messages reordered": 0.30,
    "acknowledgement lost": 0.10,
    "time of the invocation short": 0.25,
    "clock skewed": 0.50,
}
# By service and kind: the error of a refused request.
_REFUSALS = {
    "DynamoDB": {
        "throttles": ("ProvisionedThroughputExceededException", 400),
        "returns 5xx": ("InternalServerError", 500),
    },
    "SQS": {"throttles": ("RequestThrottled", 403), "returns 5xx": ("InternalError", 500)},
}
_READS = frozenset({"read chunks", "read job", "find due"})
# Begins the paths of images that kill every worker that measures them, and names those deaths.
POISON = "/poison"
POISON_IMAGE = "poison image"


@dataclass(frozen=True, slots=True)
class Death:
    """Where a worker dies: before or after a step, the n-th time that it reaches it."""

    step: str
    moment: str
    occasion: int = 1


class Journal:
    """A file with one JSON object per line, which outlives the workers that write it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, **fields: Any) -> None:
        """Append a line in a single write, so that lines of several processes do not mix."""
        with self._path.open("ab", buffering=0) as file:
            file.write((json.dumps(fields) + "\n").encode())

    def read(self) -> list[dict[str, Any]]:
        """Return the lines written so far."""
        if not self._path.exists():
            return []
        return [json.loads(line) for line in self._path.read_text().splitlines()]


@dataclass
class Injector:
    """Draws the faults, records them, and kills the process at its planned death.

    Parameters
    ----------
    role
        The name of this worker's function.
    random
        Draws its faults.
    journal
        Records faults and deaths.
    strength
        A factor on every rate; 0 for no faults.
    death
        Where the process dies; None for nowhere.
    holds
        The chunks that the worker is processing, so that the checker knows how many of their workers died.
    """

    role: str
    random: random.Random
    journal: Journal
    strength: float
    death: Death | None
    holds: list[str] = field(default_factory=list)
    _reached: int = field(default=0, init=False)

    def hits(self, kind: str) -> bool:
        """Return whether a fault of a kind happens now, and record it."""
        if self.random.random() >= RATES[kind] * self.strength:
            return False
        self.journal.write(fault=kind)
        return True

    def comes_to(self, step: str, moment: str) -> None:
        """Kill the process if its death is planned here."""
        if self.death is not None and (self.death.step, self.death.moment) == (step, moment):
            self._reached += 1
            if self._reached == self.death.occasion:
                self.die(step, moment)

    def die(self, step: str, moment: str) -> NoReturn:
        """Kill this process as the out-of-memory killer does."""
        self.journal.write(role=self.role, death=step, moment=moment, holds=self.holds)
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)
        raise AssertionError("SIGKILL did not end the process")

    def refuse(self, service: str) -> None:
        """Raise what a request gets from a service that throttles or fails, if that happens now."""
        for kind, (code, status) in _REFUSALS[service].items():
            if self.hits(f"{service} {kind}"):
                answer: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
                raise ClientError(answer, "injected")


@dataclass
class FaultyDynamoDB:
    """A DynamoDB client that throttles, fails, accepts only a part of a batch, and loses responses."""

    _client: Any
    _injector: Injector

    def __getattr__(self, method: str) -> Callable[..., Any]:
        real = getattr(self._client, method)

        def call(**request: Any) -> Any:
            injector = self._injector
            step = step_of(method, request)
            injector.comes_to(step, "before")
            injector.refuse("DynamoDB")
            if method == "batch_write_item" and injector.hits("UnprocessedItems"):
                return self._write_in_part(real, request)
            if method == "batch_get_item" and injector.hits("UnprocessedKeys"):
                return self._read_in_part(real, request)
            answer = real(**request)
            if step not in _READS:
                if injector.hits("DynamoDB's response is lost, the write is done"):
                    raise ConnectionClosedError(endpoint_url="injected")
                if injector.hits("DynamoDB's response is lost, the write is repeated"):
                    # As the SDK does by itself. The caller sees the second result, perhaps a failed condition.
                    answer = real(**request)
            injector.comes_to(step, "after")
            return answer

        return call

    def _write_in_part(self, real: Callable[..., Any], request: Any) -> Any:
        ((table, writes),) = request["RequestItems"].items()
        accepted = [write for write in writes if self._injector.random.random() < 0.5]
        rest = [write for write in writes if write not in accepted]
        if accepted:
            real(RequestItems={table: accepted})
        return {"UnprocessedItems": {table: rest} if rest else {}}

    def _read_in_part(self, real: Callable[..., Any], request: Any) -> Any:
        ((table, asked),) = request["RequestItems"].items()
        keys = asked["Keys"]
        now = keys[: self._injector.random.randrange(len(keys) + 1)]
        answer = real(RequestItems={table: asked | {"Keys": now}}) if now else {"Responses": {table: []}}
        rest = keys[len(now) :]
        return {"Responses": answer["Responses"], "UnprocessedKeys": {table: asked | {"Keys": rest}} if rest else {}}


@dataclass
class FaultySQS:
    """An SQS client that throttles, fails, and loses, duplicates, delays and reorders messages."""

    _client: Any
    _injector: Injector

    def get_queue_attributes(self, **request: Any) -> Any:
        """Return the number of messages, or refuse to."""
        self._injector.refuse("SQS")
        return self._client.get_queue_attributes(**request)

    def change_message_visibility_batch(self, **request: Any) -> Any:
        """Change how long messages stay hidden, or refuse to."""
        self._injector.comes_to("hide", "before")
        self._injector.refuse("SQS")
        answer = self._client.change_message_visibility_batch(**request)
        self._injector.comes_to("hide", "after")
        return answer

    def send_message_batch(self, QueueUrl: str, Entries: Sequence[Mapping[str, Any]]) -> Any:  # boto3's names
        """Send what the faults leave of a batch; the response reports only the failed entries."""
        injector = self._injector
        injector.comes_to("send", "before")
        injector.refuse("SQS")
        entries = [dict(entry) for entry in Entries]
        failed: list[dict[str, Any]] = []
        if injector.hits("SQS fails some entries"):
            failed = [entry for entry in entries if injector.random.random() < 0.5]
            entries = [entry for entry in entries if entry not in failed]
        if len(entries) > 1 and injector.hits("messages reordered"):
            injector.random.shuffle(entries)
            for entry in entries:
                entry["DelaySeconds"] = max(entry["DelaySeconds"], injector.random.randrange(2))
        sent: list[dict[str, Any]] = []
        for entry in entries:
            if injector.hits("message lost"):
                continue
            if injector.hits("message delayed"):
                entry["DelaySeconds"] += injector.random.randint(1, 3)
            sent.append(entry)
            if injector.hits("message duplicated"):
                sent += [entry] * injector.random.randint(1, 2)
        for start in range(0, len(sent), 10):
            batch = [entry | {"Id": str(number)} for number, entry in enumerate(sent[start : start + 10])]
            self._client.send_message_batch(QueueUrl=QueueUrl, Entries=batch)
        if injector.hits("SQS accepts messages, the response is lost"):
            raise ConnectionClosedError(endpoint_url="injected")
        injector.comes_to("send", "after")
        return {"Failed": [{"Id": entry["Id"]} for entry in failed]}


def deadly(measure: Measure, injector: Injector) -> Measure:
    """Wrap measuring: a worker can die before or after it, and a poison image kills every worker that measures it."""

    def measured(request: ImageRequest, slot: Slot) -> Measured:
        injector.comes_to("measure", "before")
        if POISON in request.url:
            injector.die(POISON_IMAGE, "before")
        try:
            return measure(request, slot)
        except MeasuringError as error:
            if error.code is FailureCode.PROCESSING_ERROR:
                raise AssertionError("measuring broke") from error
            raise
        finally:
            injector.comes_to("measure", "after")

    return measured
