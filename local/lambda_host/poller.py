"""What invokes functions besides API Gateway: the poller of a queue, and a timer in place of the schedule."""

import json
import logging
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.lambda_host.events import Event, sqs_event

_log = logging.getLogger(__name__)
_PAUSE_AFTER_ERROR_SECONDS = 1

Message = dict[str, Any]


class InvocationError(RuntimeError):
    """A function failed; the text includes its response."""


@dataclass
class QueuePoller:
    """Invokes a function with messages of a queue, as Lambda's pollers do, and deletes those that succeed."""

    sqs: Any
    queue_url: str
    invoke: Callable[[Event], Any]  # returns the function's response to an event
    batch_size: int = 10
    wait_seconds: int = 0  # how long one ReceiveMessage waits for a message

    def poll(self) -> int:
        """Receive and process one batch; return its number of messages.

        Raises
        ------
        InvocationError
            The function failed. As on AWS, failed messages stay hidden until their visibility timeout has passed.
        """
        messages = self.receive()
        if not messages:
            return 0
        response = self.invoke(sqs_event(messages, self.queue_url))
        failed = failed_ids(response, {message["MessageId"] for message in messages})
        self.delete([message for message in messages if message["MessageId"] not in failed])
        return len(messages)

    def receive(self) -> list[Message]:
        """Return the messages of the next batch, which are hidden from now on."""
        response = self.sqs.receive_message(
            QueueUrl=self.queue_url,
            MaxNumberOfMessages=self.batch_size,
            WaitTimeSeconds=self.wait_seconds,
            MessageSystemAttributeNames=["All"],
        )
        messages: list[Message] = response.get("Messages", [])
        return messages

    def delete(self, messages: Sequence[Message]) -> None:
        """Delete messages that succeeded."""
        entries = [{"Id": str(number), "ReceiptHandle": each["ReceiptHandle"]} for number, each in enumerate(messages)]
        if entries:
            self.sqs.delete_message_batch(QueueUrl=self.queue_url, Entries=entries)


def failed_ids(response: Any, ids: Collection[str]) -> set[str]:
    """Return the IDs of the messages that a function reports as failed, of those it was invoked with.

    As Lambda reads it, a response that reports nothing is a success of all messages. See "Success and failure
    conditions" on https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html

    Raises
    ------
    InvocationError
        The function failed, or its report is malformed or names other messages; both are a failure of all messages.
    """
    try:
        report = {} if response is None else response
        failed = {failure["itemIdentifier"] for failure in report.get("batchItemFailures") or ()}
        if failed.issubset(ids) and "errorMessage" not in report:
            return failed
    except (AttributeError, KeyError, TypeError):
        pass
    raise InvocationError(f"the function of the queue returned {json.dumps(response)[:500]}")


@contextmanager
def repeating(work: Callable[[], object], pause_seconds: float) -> Iterator[None]:
    """Call a function repeatedly in a thread, inside the ``with`` block; log failures."""
    end = threading.Event()

    def run() -> None:
        while not end.is_set():
            try:
                work()
            except (BotoCoreError, ClientError, InvocationError) as error:
                if not end.is_set():
                    _log.warning("%s", error)
                end.wait(_PAUSE_AFTER_ERROR_SECONDS)
            end.wait(pause_seconds)

    threading.Thread(target=run, daemon=True).start()
    try:
        yield
    finally:
        end.set()
