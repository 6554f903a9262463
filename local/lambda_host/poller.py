"""Triggers of functions that `sam local` lacks: the queue's poller and the schedule."""

import json
import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from botocore.exceptions import BotoCoreError, ClientError

from local.emulator.emulator import REGION

_log = logging.getLogger("sam-local")
# Wait time of one ReceiveMessage. Lambda's pollers wait for up to 20 s, which would delay the end.
_POLL_SECONDS = 1
_BATCH = 10

Invoke = Callable[[str, dict[str, Any]], Any]


class InvocationError(RuntimeError):
    """A function failed; the text includes its response."""


def sqs_event(messages: list[dict[str, Any]], queue_arn: str) -> dict[str, Any]:
    """Return the event of an SQS event source for messages from ReceiveMessage.

    See "Amazon SQS standard queue event" on https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html.
    """
    return {
        "Records": [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": message.get("Attributes", {}),
                "messageAttributes": {},
                "md5OfBody": message["MD5OfBody"],
                "eventSource": "aws:sqs",
                "eventSourceARN": queue_arn,
                "awsRegion": REGION,
            }
            for message in messages
        ]
    }


def schedule_event() -> dict[str, Any]:
    """Return the event that EventBridge Scheduler sends when the template sets no input."""
    return {}


class QueuePoller:
    """Invokes the process function with messages of the queue, as Lambda's pollers do, and deletes those that succeed.

    Parameters
    ----------
    sqs
        Client of the queue.
    queue_url
        The queue's URL.
    invoke
        Invokes a function by its logical ID with an event; returns its response.
    """

    def __init__(self, sqs: Any, queue_url: str, invoke: Invoke) -> None:
        self._sqs = sqs
        self._url = queue_url
        self._invoke = invoke
        attributes = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]
        self.queue_arn: str = attributes["QueueArn"]

    def poll(self) -> int:
        """Receive and process one batch; return its number of messages.

        Raises
        ------
        InvocationError
            The function failed; the messages are delivered again after their visibility timeout.
        """
        answer = self._sqs.receive_message(
            QueueUrl=self._url, MaxNumberOfMessages=_BATCH, WaitTimeSeconds=_POLL_SECONDS, AttributeNames=["All"]
        )
        messages = answer.get("Messages", [])
        if not messages:
            return 0
        result = self._invoke("ProcessFunction", sqs_event(messages, self.queue_arn))
        if not isinstance(result, dict) or "batchItemFailures" not in result:
            raise InvocationError(f"process: {json.dumps(result)[:500]}")
        failed = {failure["itemIdentifier"] for failure in result["batchItemFailures"]}
        done = [message for message in messages if message["MessageId"] not in failed]
        if done:
            entries = [{"Id": str(i), "ReceiptHandle": each["ReceiptHandle"]} for i, each in enumerate(done)]
            self._sqs.delete_message_batch(QueueUrl=self._url, Entries=entries)
        return len(messages)


class Repeater:
    """Calls a function repeatedly in a thread, inside the ``with`` block; failures are logged.

    Parameters
    ----------
    work
        The function.
    pause_seconds
        Pause after each call.
    """

    def __init__(self, work: Callable[[], object], pause_seconds: float) -> None:
        self._work = work
        self._pause = pause_seconds
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()

    def _run(self) -> None:
        while not self._end.is_set():
            try:
                self._work()
            except (BotoCoreError, ClientError, InvocationError) as error:
                if not self._end.is_set():
                    _log.warning("%s", error)
                    time.sleep(1)
            self._end.wait(self._pause)
