"""What triggers functions on AWS and not in `sam local`: the queue's poller, and the schedule."""

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
# Of one call of the queue; Lambda's pollers ask for up to 20 s, but an end should not have to wait so long.
_POLL_SECONDS = 1
_BATCH = 10

Invoke = Callable[[str, dict[str, Any]], Any]


class InvocationError(RuntimeError):
    """A function did not answer as it should; the text is what it said."""


def sqs_event(messages: list[dict[str, Any]], queue_arn: str) -> dict[str, Any]:
    """Make the event of an SQS event source from what ReceiveMessage gave.

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
    """Make the event that EventBridge Scheduler sends when the template gives it no input."""
    return {}


class QueuePoller:
    """Has the process function take what is in the queue, as Lambda's pollers do: deletes what it has not refused.

    Parameters
    ----------
    sqs
        Client of the queue.
    queue_url
        The queue's URL.
    invoke
        Invokes a function by its logical id with an event; returns its answer.
    """

    def __init__(self, sqs: Any, queue_url: str, invoke: Invoke) -> None:
        self._sqs = sqs
        self._url = queue_url
        self._invoke = invoke
        attributes = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]
        self.queue_arn: str = attributes["QueueArn"]

    def poll(self) -> int:
        """Take one batch; return how many messages it had.

        Raises
        ------
        InvocationError
            The function failed: the messages come again after their visibility timeout.
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
        refused = {failure["itemIdentifier"] for failure in result["batchItemFailures"]}
        done = [message for message in messages if message["MessageId"] not in refused]
        if done:
            entries = [{"Id": str(i), "ReceiptHandle": each["ReceiptHandle"]} for i, each in enumerate(done)]
            self._sqs.delete_message_batch(QueueUrl=self._url, Entries=entries)
        return len(messages)


class Repeater:
    """Does something again and again on a thread of its own, while its ``with`` block lasts; a failure is logged.

    Parameters
    ----------
    work
        What is done.
    pause_seconds
        Pause after each time.
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
