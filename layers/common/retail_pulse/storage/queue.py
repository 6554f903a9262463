"""The queue of chunk pointers on SQS."""

import json
import logging
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from retail_pulse.domain.chunks import Pointer, Scope
from retail_pulse.domain.errors import InvalidPointerError, StorageUnavailableError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.literals import QueueAttributeNameType
    from mypy_boto3_sqs.type_defs import (
        ChangeMessageVisibilityBatchRequestEntryTypeDef,
        SendMessageBatchRequestEntryTypeDef,
    )

_log = logging.getLogger(__name__)

# Limit of the service for one batch of messages.
_BATCH = 10
_BATCHES_AT_ONCE = 16
# All batches of one call together. A thousand pointers take a second, and reprocess sends what is missing.
_SENDING_SECONDS = 8.0
_COUNTS: Sequence["QueueAttributeNameType"] = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)
_json = json.JSONEncoder(separators=(",", ":")).encode


def encode(pointer: Pointer) -> str:
    """Write a pointer as a message's body."""
    return _json(pointer._asdict())


def decode(body: str) -> Pointer:
    """Read a pointer from a message's body.

    Raises
    ------
    InvalidPointerError
        The body is not what `encode` writes.
    """
    try:
        found = json.loads(body)
        return Pointer(
            client=str(found["client"]),
            job_id=int(found["job_id"]),
            nonce=str(found["nonce"]),
            chunk=int(found["chunk"]),
            run=int(found["run"]),
            scope=Scope(found["scope"]),
            turn=None if found["turn"] is None else int(found["turn"]),
            chunks=int(found.get("chunks", 0)),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidPointerError(f"not a pointer: {type(error).__name__}") from error


class PointerQueue:
    """The queue, as pointers to chunks. The client needs room for sixteen connections."""

    def __init__(self, client: "SQSClient", url: str) -> None:
        self._client = client
        self._url = url
        self._pool = ThreadPoolExecutor(_BATCHES_AT_ONCE, thread_name_prefix="sqs")

    def send(self, pointers: Sequence[Pointer], delay_seconds: int = 0) -> None:
        """Send a message for each of any number of pointers, hidden for at most `domain.chunks.MAX_DELAY_SECONDS`.

        Raises
        ------
        StorageUnavailableError
            Some messages, or all, were not sent: SQS refused them, or did not answer in time.
        """
        batches = [pointers[start : start + _BATCH] for start in range(0, len(pointers), _BATCH)]
        send_batch = partial(self._send_batch, delay_seconds, time.monotonic() + _SENDING_SECONDS)
        sent = sum(map(send_batch, batches) if len(batches) == 1 else self._pool.map(send_batch, batches))
        if sent < len(pointers):
            raise StorageUnavailableError(f"SQS accepted {sent} of {len(pointers)} messages")

    def hide(self, seconds: Mapping[str, int]) -> None:
        """Change how long messages that were received stay hidden: seconds from now, by receipt handle.

        A refusal is only logged. The messages then stay hidden for the queue's visibility timeout, which loses time
        but no message.
        """
        handles = list(seconds)
        for start in range(0, len(handles), _BATCH):
            entries: list[ChangeMessageVisibilityBatchRequestEntryTypeDef] = [
                {"Id": str(number), "ReceiptHandle": handle, "VisibilityTimeout": seconds[handle]}
                for number, handle in enumerate(handles[start : start + _BATCH])
            ]
            try:
                answer = self._client.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)
            except (ClientError, BotoCoreError) as error:
                _log.warning("the visibility of %d messages was not changed: %s", len(entries), type(error).__name__)
            else:
                for entry in answer.get("Failed", []):
                    _log.warning("the visibility of a message was not changed: %s", entry["Code"])

    def backlog(self) -> int:
        """Return the approximate number of messages in the queue: waiting, delayed, and in flight.

        Raises
        ------
        StorageUnavailableError
            SQS did not answer.
        """
        try:
            answer = self._client.get_queue_attributes(QueueUrl=self._url, AttributeNames=_COUNTS)
        except (ClientError, BotoCoreError) as error:
            raise StorageUnavailableError(f"SQS: {type(error).__name__}") from error
        return sum(int(answer["Attributes"][name]) for name in _COUNTS)

    def _send_batch(self, delay_seconds: int, until: float, batch: Sequence[Pointer]) -> int:
        """Send up to ten messages, retry once those that SQS refused, and return how many it accepted.

        After the monotonic time ``until``, nothing is sent any more.
        """
        waiting: list[SendMessageBatchRequestEntryTypeDef] = [
            {
                "Id": str(number),
                "MessageBody": encode(pointer),
                "DelaySeconds": delay_seconds,
                # A fair queue: while one client has a long backlog, SQS delivers the other clients' messages first.
                "MessageGroupId": pointer.client,
            }
            for number, pointer in enumerate(batch)
        ]
        for _ in range(2):
            if time.monotonic() > until:
                break
            try:
                answer = self._client.send_message_batch(QueueUrl=self._url, Entries=waiting)
            except (ClientError, BotoCoreError):
                break
            refused = {entry["Id"] for entry in answer.get("Failed", [])}
            waiting = [entry for entry in waiting if entry["Id"] in refused]
            if not waiting:
                break
        return len(batch) - len(waiting)
