"""Faults around the clients of AWS and around measuring: what goes wrong, how often, and where a worker dies.

Nothing of it is in the functions: a worker of the tests loads a function as it is deployed, and puts these objects in
the place of its clients.
"""

import json
import os
import random
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from botocore.exceptions import ClientError, ConnectionClosedError

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.domain.outcomes import Measured
from tests.faults.steps import step_of

# By kind: how likely one is at a request that it can hit.
RATES: Mapping[str, float] = {
    "DynamoDB throttles": 0.02,
    "DynamoDB answers 5xx": 0.02,
    "DynamoDB's answer is lost, the write done": 0.02,
    "DynamoDB's answer is lost, the write repeated": 0.05,
    "UnprocessedItems": 0.15,
    "UnprocessedKeys": 0.25,
    "SQS throttles": 0.05,
    "SQS answers 5xx": 0.05,
    "SQS fails some entries": 0.10,
    "SQS takes messages, the answer is lost": 0.10,
    "message lost": 0.08,
    "message doubled": 0.12,
    "message delayed": 0.10,
    "messages reordered": 0.30,
    "acknowledgement lost": 0.10,
    "time of the invocation short": 0.25,
    "clock skewed": 0.50,
}
KILLER = "/killer"


@dataclass(frozen=True, slots=True)
class Death:
    """Where a worker dies: before or after a step, the n-th time that it comes to it."""

    step: str
    moment: str
    occasion: int = 1


class Journal:
    """A file of one JSON object a line, which survives the deaths of all who write it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, **fields: Any) -> None:
        """Add a line, in one write: lines of several processes do not mix."""
        line = (json.dumps(fields) + "\n").encode()
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)

    def read(self) -> list[dict[str, Any]]:
        """Return what was written so far."""
        if not self._path.exists():
            return []
        return [json.loads(line) for line in self._path.read_text().splitlines()]


class Injector:
    """Decides which faults there are, writes them down, and ends the process where it is to die.

    Parameters
    ----------
    role
        Of this worker: the function's name.
    seed
        Of its random numbers.
    journal
        Where faults and deaths are written.
    strength
        Factor on every rate; 0 for none.
    death
        Where the process ends, None for nowhere.
    """

    def __init__(self, role: str, seed: int, journal: Journal, strength: float, death: Death | None) -> None:
        self._role = role
        self.random = random.Random(seed)
        self._journal = journal
        self._strength = strength
        self._death = death
        self._came_by = 0
        # What the worker has in hands, so that the checker knows whose workers died.
        self.holds: list[str] = []

    def hits(self, kind: str) -> bool:
        """Tell whether a fault of a kind happens now, and write it down."""
        if self.random.random() >= RATES[kind] * self._strength:
            return False
        self._journal.write(fault=kind)
        return True

    def comes_to(self, step: str, moment: str) -> None:
        """Die here if this is the place."""
        if self._death is None or (self._death.step, self._death.moment) != (step, moment):
            return
        self._came_by += 1
        if self._came_by == self._death.occasion:
            self.die(step, moment)

    def die(self, step: str, moment: str) -> NoReturn:
        """End this process as the out-of-memory killer does."""
        self._journal.write(role=self._role, death=step, moment=moment, holds=self.holds)
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)
        raise AssertionError("SIGKILL did not end the process")


def _refusal(code: str, status: int) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "injected")  # type: ignore[typeddict-item]


class FaultyDynamoDB:
    """A DynamoDB client that throttles, fails, takes batches in part, and loses answers."""

    def __init__(self, client: Any, injector: Injector) -> None:
        self._client = client
        self._injector = injector

    def __getattr__(self, method: str) -> Callable[..., Any]:
        real = getattr(self._client, method)

        def call(**request: Any) -> Any:
            injector = self._injector
            step = step_of(method, request)
            injector.comes_to(step, "before")
            if injector.hits("DynamoDB throttles"):
                raise _refusal("ProvisionedThroughputExceededException", 400)
            if injector.hits("DynamoDB answers 5xx"):
                raise _refusal("InternalServerError", 500)
            if method == "batch_write_item" and injector.hits("UnprocessedItems"):
                return self._write_in_part(real, request)
            if method == "batch_get_item" and injector.hits("UnprocessedKeys"):
                return self._read_in_part(real, request)
            answer = real(**request)
            if step not in _READS:
                if injector.hits("DynamoDB's answer is lost, the write done"):
                    raise ConnectionClosedError(endpoint_url="injected")
                if injector.hits("DynamoDB's answer is lost, the write repeated"):
                    # As the SDK does by itself. A condition that has become false is what the caller gets.
                    answer = real(**request)
            injector.comes_to(step, "after")
            return answer

        return call

    def _write_in_part(self, real: Callable[..., Any], request: Any) -> Any:
        ((table, writes),) = request["RequestItems"].items()
        taken = [write for write in writes if self._injector.random.random() < 0.5]
        rest = [write for write in writes if write not in taken]
        if taken:
            real(RequestItems={table: taken})
        return {"UnprocessedItems": {table: rest} if rest else {}}

    def _read_in_part(self, real: Callable[..., Any], request: Any) -> Any:
        ((table, asked),) = request["RequestItems"].items()
        keys = asked["Keys"]
        now = keys[: self._injector.random.randrange(len(keys) + 1)]
        answer = real(RequestItems={table: asked | {"Keys": now}}) if now else {"Responses": {table: []}}
        rest = keys[len(now) :]
        return {
            "Responses": answer["Responses"],
            "UnprocessedKeys": {table: asked | {"Keys": rest}} if rest else {},
        }


_READS = frozenset({"read chunks", "read job", "find due"})


class FaultySQS:
    """An SQS client that throttles, fails, and loses, doubles, delays and reorders messages."""

    def __init__(self, client: Any, injector: Injector) -> None:
        self._client = client
        self._injector = injector

    def get_queue_attributes(self, **request: Any) -> Any:
        """Count the messages, or refuse to."""
        self._refuse()
        return self._client.get_queue_attributes(**request)

    def send_message_batch(self, QueueUrl: str, Entries: Sequence[Mapping[str, Any]]) -> Any:  # boto3's words
        """Send what the faults leave of a batch; the answer says that all was taken, but for failed entries."""
        injector = self._injector
        injector.comes_to("send", "before")
        self._refuse()
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
            if injector.hits("message doubled"):
                sent += [entry] * injector.random.randint(1, 2)
        for start in range(0, len(sent), 10):
            batch = [entry | {"Id": str(number)} for number, entry in enumerate(sent[start : start + 10])]
            self._client.send_message_batch(QueueUrl=QueueUrl, Entries=batch)
        if injector.hits("SQS takes messages, the answer is lost"):
            raise ConnectionClosedError(endpoint_url="injected")
        injector.comes_to("send", "after")
        return {"Failed": [{"Id": entry["Id"]} for entry in failed]}

    def _refuse(self) -> None:
        if self._injector.hits("SQS throttles"):
            raise _refusal("RequestThrottled", 403)
        if self._injector.hits("SQS answers 5xx"):
            raise _refusal("InternalError", 500)


def deadly(measure: Callable[[str], Measured], injector: Injector) -> Callable[[str], Measured]:
    """Wrap measuring: a worker may die before and after, and some images end every worker that takes them."""

    def measured(url: str) -> Measured:
        injector.comes_to("measure", "before")
        if KILLER in url:
            injector.die("killer image", "before")
        try:
            return measure(url)
        except MeasuringError as error:
            if error.code is FailureCode.PROCESSING_ERROR:
                raise AssertionError("measuring broke") from error
            raise
        finally:
            injector.comes_to("measure", "after")

    return measured
