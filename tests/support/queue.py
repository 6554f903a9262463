"""The queue of handlers on moto."""

from types import ModuleType
from typing import Any

import boto3

from local.lambda_host.context import Context
from local.lambda_host.events import Event, sqs_event
from local.lambda_host.poller import QueuePoller


def deliver(process: ModuleType, url: str, context: Context) -> int:
    """Process and delete the messages of the queue; return their number."""

    def invoke(event: Event) -> Any:
        response = process.handler(event, context)
        assert response == {"batchItemFailures": []}
        return response

    return QueuePoller(boto3.client("sqs"), url, invoke).poll()


def messages(url: str) -> Event:
    """Receive the messages of the queue; return their event."""
    received = boto3.client("sqs").receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"]
    )
    return sqs_event(received.get("Messages", []), url)
