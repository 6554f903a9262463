"""Clients of AWS services, made once a function at its cold start."""

from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient


def _config(connections: int, attempts: int) -> Config:
    return Config(
        # Both services answer in milliseconds; a call that hangs is repeated long before the function's time is up.
        connect_timeout=2,
        read_timeout=5,
        retries={"mode": "standard", "max_attempts": attempts},
        max_pool_connections=connections,
        # The requests are built here, from validated data: checking them again costs more than building them.
        parameter_validation=False,
    )


def dynamodb(connections: int = 10, attempts: int = 5) -> "DynamoDBClient":
    """Make a DynamoDB client.

    Parameters
    ----------
    connections
        For up to so many threads.
    attempts
        How often a call is made at most. The waits in between are drawn from up to 1, 2, 4, … seconds.
    """
    return boto3.client("dynamodb", config=_config(connections, attempts))


def sqs(connections: int = 10) -> "SQSClient":
    """Make an SQS client for up to so many threads."""
    return boto3.client("sqs", config=_config(connections, attempts=5))
