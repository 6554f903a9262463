"""AWS on moto, with the table of the template."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import boto3
import pytest
from moto import mock_aws

from local.lambda_host.table import TABLE, create_table
from retail_pulse.storage.jobs_table import JobsTable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def dynamodb() -> "Iterator[DynamoDBClient]":
    with mock_aws():
        client = boto3.client("dynamodb")
        create_table(client)
        yield client


@pytest.fixture
def jobs_table(dynamodb: "DynamoDBClient") -> JobsTable:
    return JobsTable(dynamodb, TABLE)
