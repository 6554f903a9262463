"""SQS queues: delays, visibility timeouts, receipt handles and batches. Calls and billed requests are counted."""

import hashlib
import math
import time
import uuid
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from benchmarks.world.aws_stand_in.errors import RefusedError

_BATCH = 10
# SQS bills one request per 64 KB of payload: https://aws.amazon.com/sqs/pricing/
_BILLED_BYTES = 64 * 1024

Request = Mapping[str, Any]
Answer = dict[str, Any]


@dataclass(slots=True)
class Counts:
    """Totals for one kind of call: calls, billed requests and messages."""

    calls: int = 0
    requests: int = 0
    messages: int = 0


@dataclass(slots=True)
class _Message:
    body: str
    sent: float
    hidden_until: float
    receives: int = 0
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def digest(self) -> str:
        return hashlib.md5(self.body.encode(), usedforsecurity=False).hexdigest()

    def received(self) -> dict[str, Any]:
        return {
            "MessageId": self.id,
            "ReceiptHandle": f"{self.id}/{self.receives}",
            "Body": self.body,
            "MD5OfBody": self.digest,
            "Attributes": {
                "ApproximateReceiveCount": str(self.receives),
                "SentTimestamp": str(int(self.sent * 1000)),
            },
        }


@dataclass(slots=True)
class _Queue:
    visibility: float
    messages: dict[str, _Message] = field(default_factory=dict)


class Queues:
    """Answers SQS's calls.

    Attributes
    ----------
    counts
        By the name of the call.
    """

    def __init__(self) -> None:
        self._queues: dict[str, _Queue] = {}
        self.counts: defaultdict[str, Counts] = defaultdict(Counts)

    def messages(self) -> int:
        """Return the number of messages in all queues, hidden ones included."""
        return sum(len(queue.messages) for queue in self._queues.values())

    def answer(self, call: str, request: Request, base_url: str) -> Answer:
        """Answer a call.

        Raises
        ------
        RefusedError
            The call is invalid or unknown.
        """
        if call == "CreateQueue":
            visibility = float(request.get("Attributes", {}).get("VisibilityTimeout", 30))
            url = f"{base_url}/queue/{request['QueueName']}"
            self._queues.setdefault(url, _Queue(visibility))
            return {"QueueUrl": url}
        calls = {
            "SendMessageBatch": self._send,
            "ReceiveMessage": self._receive,
            "DeleteMessageBatch": self._delete,
            "ChangeMessageVisibilityBatch": self._hide,
            "GetQueueAttributes": self._attributes,
        }
        if call not in calls:
            raise RefusedError("InvalidAction", f"the stand-in does not support {call}")
        queue = self._queues.get(request["QueueUrl"])
        if queue is None:
            raise RefusedError("QueueDoesNotExist", "The specified queue does not exist.")
        answer, messages, carried = calls[call](queue, request)
        counts = self.counts[call]
        counts.calls += 1
        counts.messages += messages
        counts.requests += max(1, math.ceil(carried / _BILLED_BYTES))
        return answer

    def _send(self, queue: _Queue, request: Request) -> tuple[Answer, int, int]:
        entries, now = _entries(request), time.time()
        sent = []
        for entry in entries:
            message = _Message(entry["MessageBody"], now, now + float(entry.get("DelaySeconds", 0)))
            queue.messages[message.id] = message
            sent.append({"Id": entry["Id"], "MessageId": message.id, "MD5OfMessageBody": message.digest})
        return {"Successful": sent, "Failed": []}, len(sent), sum(len(each["MessageBody"]) for each in entries)

    def _receive(self, queue: _Queue, request: Request) -> tuple[Answer, int, int]:
        now = time.time()
        hidden = float(request.get("VisibilityTimeout", queue.visibility))
        visible = (message for message in queue.messages.values() if message.hidden_until <= now)
        found = list(islice(visible, request.get("MaxNumberOfMessages", 1)))
        for message in found:
            message.hidden_until = now + hidden
            message.receives += 1
        answer = {"Messages": [message.received() for message in found]} if found else {}
        return answer, len(found), sum(len(message.body) for message in found)

    def _delete(self, queue: _Queue, request: Request) -> tuple[Answer, int, int]:
        entries = _entries(request)
        for entry in entries:
            queue.messages.pop(_message_id(entry), None)
        return {"Successful": [{"Id": entry["Id"]} for entry in entries], "Failed": []}, len(entries), 0

    def _hide(self, queue: _Queue, request: Request) -> tuple[Answer, int, int]:
        entries, now = _entries(request), time.time()
        for entry in entries:
            queue.messages[_message_id(entry)].hidden_until = now + float(entry["VisibilityTimeout"])
        return {"Successful": [{"Id": entry["Id"]} for entry in entries], "Failed": []}, len(entries), 0

    def _attributes(self, queue: _Queue, _: Request) -> tuple[Answer, int, int]:
        now = time.time()
        hidden = [message for message in queue.messages.values() if message.hidden_until > now]
        delayed = sum(message.receives == 0 for message in hidden)
        counts = {
            "ApproximateNumberOfMessages": len(queue.messages) - len(hidden),
            "ApproximateNumberOfMessagesNotVisible": len(hidden) - delayed,
            "ApproximateNumberOfMessagesDelayed": delayed,
        }
        return {"Attributes": {name: str(count) for name, count in counts.items()}}, 0, 0


def _message_id(entry: Mapping[str, Any]) -> str:
    handle: str = entry["ReceiptHandle"]
    return handle.partition("/")[0]


def _entries(request: Request) -> list[Mapping[str, Any]]:
    entries: list[Mapping[str, Any]] = request["Entries"]
    if not entries:
        raise RefusedError("EmptyBatchRequest", "There should be at least one entry in the request.")
    if len(entries) > _BATCH:
        raise RefusedError("TooManyEntriesInBatchRequest", f"Maximum number of entries per request are {_BATCH}.")
    if len({entry["Id"] for entry in entries}) < len(entries):
        raise RefusedError("BatchEntryIdsNotDistinct", "Id of entries must be distinct.")
    return entries
