"""The template's table and queue, for what runs without the whole stack."""

from typing import TYPE_CHECKING

from local.lambda_host.environment import template

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient

# A name for a stack's only table.
TABLE = "jobs"
_TABLE_PROPERTIES = ("KeySchema", "AttributeDefinitions", "GlobalSecondaryIndexes", "BillingMode")


def create_table(client: "DynamoDBClient", name: str = TABLE) -> None:
    """Create the jobs table as the template describes it."""
    properties = template().body["Resources"]["JobsTable"]["Properties"]
    client.create_table(TableName=name, **{each: properties[each] for each in _TABLE_PROPERTIES})


def create_queue(client: "SQSClient", name: str = "chunks", visibility_seconds: int | None = None) -> str:
    """Create a queue, by default with the template's visibility timeout; return its URL."""
    properties = template().body["Resources"]["ChunkQueue"]["Properties"]
    visibility = visibility_seconds or template().resolve(properties["VisibilityTimeout"])
    return client.create_queue(QueueName=name, Attributes={"VisibilityTimeout": str(visibility)})["QueueUrl"]
