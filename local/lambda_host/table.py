"""The template's table and queue, for what runs without the whole stack."""

from functools import cache
from typing import TYPE_CHECKING

from local.emulator.template import Template

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient

_TABLE_PROPERTIES = ("KeySchema", "AttributeDefinitions", "GlobalSecondaryIndexes", "BillingMode")


@cache
def _template() -> Template:
    """Return the template, parsed once: tests create hundreds of tables."""
    return Template()


def create_table(client: "DynamoDBClient", name: str) -> None:
    """Create the jobs table as the template describes it."""
    properties = _template().body["Resources"]["JobsTable"]["Properties"]
    client.create_table(TableName=name, **{each: properties[each] for each in _TABLE_PROPERTIES})


def create_queue(client: "SQSClient", name: str) -> str:
    """Create the queue with the template's visibility timeout; return its URL."""
    template = _template()
    visibility = template.resolve(template.body["Resources"]["ChunkQueue"]["Properties"]["VisibilityTimeout"])
    return client.create_queue(QueueName=name, Attributes={"VisibilityTimeout": visibility})["QueueUrl"]
