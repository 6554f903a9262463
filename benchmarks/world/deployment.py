"""What a deployment gives the functions: table, queue and variables, as the template has them."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local.emulator.template import FUNCTION, Template

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient

_TEMPLATE = Path(__file__).resolve().parents[2] / "infra" / "template.yaml"
_TABLE_PROPERTIES = ("KeySchema", "AttributeDefinitions", "GlobalSecondaryIndexes", "BillingMode")


def template(parameters: Mapping[str, str] | None = None) -> Template:
    """Read the template, with values for some of its parameters."""
    return Template(_TEMPLATE, parameters or {})


def create_table(client: "DynamoDBClient", name: str) -> None:
    """Create the jobs table as the template has it."""
    properties: dict[str, Any] = template().body["Resources"]["JobsTable"]["Properties"]
    client.create_table(TableName=name, **{each: properties[each] for each in _TABLE_PROPERTIES})


def create_queue(client: "SQSClient", name: str) -> str:
    """Create the queue with the template's visibility, and return its URL."""
    found = template()
    visibility = _resolved(found, found.body["Resources"]["ChunkQueue"]["Properties"]["VisibilityTimeout"], {})
    return client.create_queue(QueueName=name, Attributes={"VisibilityTimeout": visibility})["QueueUrl"]


def environment(template: Template, function: str, resources: Mapping[str, str]) -> dict[str, str]:
    """Return a function's variables.

    Parameters
    ----------
    function
        Its logical id.
    resources
        What a reference to a resource stands for, by the logical id.
    """
    common = template.body["Globals"]["Function"]["Environment"]["Variables"]
    own = dict(template.resources(FUNCTION))[function]["Environment"]["Variables"]
    return {name: _resolved(template, value, resources) for name, value in (common | own).items()}


def memory_megabytes(template: Template, function: str) -> int:
    """Return a function's memory in MB."""
    return int(_resolved(template, dict(template.resources(FUNCTION))[function]["MemorySize"], {}))


def _resolved(template: Template, value: Any, resources: Mapping[str, str]) -> str:
    match value:
        case {"Ref": name}:
            return resources[name] if name in resources else template.parameters[name]
        case {"Fn::FindInMap": [name, first, second]}:
            entry: str = template.body["Mappings"][name][_resolved(template, first, resources)][second]
            return entry
    return str(value)
