"""AWS clients, created once per function at cold start."""

from functools import cache
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient


@cache
def _session() -> boto3.Session:
    """Return the session that all clients share: it keeps the service descriptions that it has parsed."""
    return boto3.Session()


def _config(connections: int, attempts: int) -> Config:
    return Config(
        # Both services answer in milliseconds; a call that hangs is repeated long before the function's time is up.
        connect_timeout=2,
        read_timeout=5,
        retries={"mode": "standard", "max_attempts": attempts},
        max_pool_connections=connections,
        # The requests are built here, from validated data: checking them again costs more than building them.
        parameter_validation=False,
        # The SDK puts its own text together anew for every call, at a tenth of what a call costs.
        user_agent="retail-pulse/0.1",
    )


def dynamodb(connections: int = 16, attempts: int = 5) -> "DynamoDBClient":
    """Make a DynamoDB client.

    Parameters
    ----------
    connections
        For up to so many threads.
    attempts
        How often a call is made at most. The waits in between are drawn from up to 1, 2, 4, … seconds.
    """
    return _session().client("dynamodb", config=_config(connections, attempts))


def sqs(connections: int = 16) -> "SQSClient":
    """Make an SQS client for up to so many threads."""
    return _session().client("sqs", config=_config(connections, attempts=5))
