"""What invokes functions besides API Gateway: the poller of a queue, and a timer in place of the schedule."""

import json
import logging
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

from botocore.exceptions import BotoCoreError, ClientError

from local.lambda_host.events import Event, sqs_event

_log = logging.getLogger(__name__)
_PAUSE_AFTER_ERROR_SECONDS = 1

Message = dict[str, Any]


class InvocationError(RuntimeError):
    """A function failed; the text includes its response."""


class QueuePoller:
    """Invokes a function with messages of a queue, as Lambda's pollers do, and deletes those that succeed.

    Parameters
    ----------
    sqs
        Client of the queue.
    queue_url
        The queue's URL.
    invoke
        Invokes the function with an event; returns its response.
    batch_size
        Maximum number of messages of one invocation.
    wait_seconds
        Time that one ReceiveMessage waits for a message.
    """

    def __init__(
        self, sqs: Any, queue_url: str, invoke: Callable[[Event], Any], *, batch_size: int = 10, wait_seconds: int = 0
    ) -> None:
        self._sqs = sqs
        self._url = queue_url
        self._invoke = invoke
        self._batch_size = batch_size
        self._wait_seconds = wait_seconds

    def poll(self) -> int:
        """Receive and process one batch; return its number of messages.

        Raises
        ------
        InvocationError
            The function failed; the messages are delivered again after their visibility timeout.
        """
        messages = self.receive()
        if not messages:
            return 0
        response = self._invoke(sqs_event(messages, self._url))
        if not isinstance(response, dict) or "batchItemFailures" not in response:
            raise InvocationError(f"the function of the queue returned {json.dumps(response)[:500]}")
        failed = {failure["itemIdentifier"] for failure in response["batchItemFailures"]}
        self.delete([message for message in messages if message["MessageId"] not in failed])
        return len(messages)

    def receive(self) -> list[Message]:
        """Return the messages of the next batch, which are hidden from now on."""
        response = self._sqs.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=self._batch_size,
            WaitTimeSeconds=self._wait_seconds,
            MessageSystemAttributeNames=["All"],
        )
        messages: list[Message] = response.get("Messages", [])
        return messages

    def delete(self, messages: Sequence[Message]) -> None:
        """Delete messages that succeeded."""
        entries = [{"Id": str(number), "ReceiptHandle": each["ReceiptHandle"]} for number, each in enumerate(messages)]
        if entries:
            self._sqs.delete_message_batch(QueueUrl=self._url, Entries=entries)


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
                self._end.wait(_PAUSE_AFTER_ERROR_SECONDS)
            self._end.wait(self._pause)
