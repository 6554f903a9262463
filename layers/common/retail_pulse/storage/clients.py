"""AWS clients, created once per function at cold start."""

from functools import cache
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from retail_pulse import VERSION

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient


@cache
def _session() -> boto3.Session:
    """Return the session that all clients share: it caches the parsed service models."""
    return boto3.Session()


def _config(connections: int, attempts: int) -> Config:
    return Config(
        # Both services answer in milliseconds; a call that hangs is repeated long before the function times out.
        connect_timeout=2,
        read_timeout=5,
        retries={"mode": "standard", "max_attempts": attempts},
        max_pool_connections=connections,
        # Requests are built from validated data; checking them again costs more than building them.
        parameter_validation=False,
        # The SDK's own text is assembled for every call, at a tenth of the cost of the call.
        user_agent=f"retail-pulse/{VERSION}",
    )


def dynamodb(connections: int = 16, attempts: int = 5) -> "DynamoDBClient":
    """Return a new DynamoDB client for up to this many threads and attempts per call.

    The waits between attempts are drawn from up to 1, 2, 4, … seconds.
    """
    return _session().client("dynamodb", config=_config(connections, attempts))


def sqs(connections: int = 16) -> "SQSClient":
    """Return a new SQS client for up to this many threads."""
    return _session().client("sqs", config=_config(connections, attempts=5))
