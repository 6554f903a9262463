"""AWS on moto, made from the template's own table."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from cfnlint.decode import cfn_yaml
from moto import mock_aws

from retail_pulse.storage.jobs_table import JobsTable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TEMPLATE = Path(__file__).parents[2] / "infra" / "template.yaml"
TABLE = "jobs"


def create_table(dynamodb: "DynamoDBClient") -> None:
    """Create the jobs table as the template has it."""
    properties: dict[str, Any] = cfn_yaml.load(str(TEMPLATE))["Resources"]["JobsTable"]["Properties"]
    wanted = ("KeySchema", "AttributeDefinitions", "GlobalSecondaryIndexes", "BillingMode")
    dynamodb.create_table(TableName=TABLE, **{name: properties[name] for name in wanted})


@pytest.fixture
def dynamodb() -> "Iterator[DynamoDBClient]":
    with mock_aws():
        client = boto3.client("dynamodb")
        create_table(client)
        yield client


@pytest.fixture
def jobs_table(dynamodb: "DynamoDBClient") -> JobsTable:
    return JobsTable(dynamodb, TABLE)
