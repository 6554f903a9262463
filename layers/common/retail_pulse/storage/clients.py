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


def _config(connections: int, attempts: int, connect_seconds: float, read_seconds: float) -> Config:
    return Config(
        connect_timeout=connect_seconds,
        read_timeout=read_seconds,
        # With the first one. The waits between attempts are drawn from up to 1, 2, 4, … seconds.
        retries={"mode": "standard", "total_max_attempts": attempts},
        max_pool_connections=connections,
        # Requests are built from validated data; checking them again costs more than building them.
        parameter_validation=False,
        # The SDK's own text is assembled for every call, at a tenth of the cost of the call.
        user_agent=f"retail-pulse/{VERSION}",
    )


# Both services answer in milliseconds. A function's time must be longer than a call whose attempts all hang:
# docs/reliability.md has the sums, and a test compares them with the template.
def dynamodb(
    connections: int = 16, *, attempts: int = 3, connect_seconds: float = 1, read_seconds: float = 2
) -> "DynamoDBClient":
    """Return a new DynamoDB client for up to this many threads, and this many attempts per call."""
    return _session().client("dynamodb", config=_config(connections, attempts, connect_seconds, read_seconds))


def sqs(connections: int = 16, *, attempts: int = 3) -> "SQSClient":
    """Return a new SQS client for up to this many threads, and this many attempts per call."""
    return _session().client("sqs", config=_config(connections, attempts, connect_seconds=1, read_seconds=2))
