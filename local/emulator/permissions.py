"""The functions' permissions, enforced as on AWS.

With ``AUTH=true`` ministack checks every request of a function against the policies of the function's role, so a
permission that the template lacks fails here too, not only on AWS. `correct` fixes two faults of version 1.5.33, and
satisfies a third rule, which matters only on a network.
"""

import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

logger = logging.getLogger("permissions")
# Returns the partition key of a table, or of one of its indexes, by their names.
PartitionKeyOf = Callable[[str, str | None], str]
_EQUALITY = re.compile(r"([#\w]+)\s*=\s*(:\w+)")


def correct() -> None:
    """Correct the emulator's checks and log every denial; once per process, before its first request."""
    from ministack import app
    from ministack.core import iam_actions

    pin_origin = app.pin_request_origin
    action_of, context_of = iam_actions.extract_iam_action, iam_actions.dynamodb_service_context
    answer = iam_actions.access_denied_response

    def action(service: str, *arguments: Any) -> str | None:
        # SQS has no action for a batch: AWS authorizes it as the single call, see "Actions" on
        # https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsqs.html
        name: str | None = action_of(service, *arguments)
        return name.removesuffix("Batch") if name and service == "sqs" else name

    def context(body: bytes) -> dict[str, Any]:
        # Without this key in the request, a condition on it with `ForAllValues` is always true.
        keys = leading_keys(json.loads(body or b"{}"), _partition_key)
        found: dict[str, Any] = context_of(body)
        return found | ({"dynamodb:LeadingKeys": sorted(keys)} if keys else {})

    def pin_as_secure(source_ip: str, _secure: bool) -> None:
        # The template's queues refuse plain HTTP. Here it only crosses 127.0.0.1, where it cannot be intercepted.
        pin_origin(source_ip, True)

    def denied(service: str, action: str, principal: str, *arguments: Any, **options: Any) -> Any:
        # The log has the reason, because a function should hide it from its client.
        logger.error("%s is not authorized to perform %s on %s", principal, action, options.get("resource_arn"))
        return answer(service, action, principal, *arguments, **options)

    app.pin_request_origin = pin_as_secure
    iam_actions.extract_iam_action = action
    iam_actions.dynamodb_service_context = context
    iam_actions.access_denied_response = denied


def leading_keys(request: dict[str, Any], partition_key: PartitionKeyOf) -> set[str]:
    """Return the partition keys in a request to DynamoDB: ``dynamodb:LeadingKeys`` in a policy's condition.

    The request's JSON may be of one item, a batch, a transaction or a query. A scan has no partition keys.
    """
    if "KeyConditionExpression" in request:
        return set(_queried(request, partition_key(request["TableName"], request.get("IndexName"))))
    return {
        str(value)
        for table, items in _items(request)
        for item in items
        for value in item.get(partition_key(table, None), {}).values()
    }


def _items(request: dict[str, Any]) -> Iterator[tuple[str, Iterable[dict[str, Any]]]]:
    """Yield table names with the items or keys of the request."""
    yield from ((request["TableName"], [request[part]]) for part in ("Key", "Item") if part in request)
    for table, batch in request.get("RequestItems", {}).items():
        if isinstance(batch, dict):
            yield table, batch["Keys"]
        else:
            writes = [write for each in batch for write in each.values()]
            yield table, [write.get("Item") or write["Key"] for write in writes]
    for each in request.get("TransactItems", []):
        for step in each.values():
            yield step["TableName"], [step.get("Item") or step["Key"]]


def _queried(request: dict[str, Any], partition_key: str) -> Iterator[str]:
    names = request.get("ExpressionAttributeNames", {})
    for name, value in _EQUALITY.findall(request["KeyConditionExpression"]):
        if names.get(name, name) == partition_key:
            yield from map(str, request["ExpressionAttributeValues"][value].values())


def _partition_key(table: str, index: str | None) -> str:
    from ministack.services import dynamodb

    # The name may be an ARN. The service itself rejects a table that does not exist.
    description = dynamodb._tables.get(table.rpartition("/")[2]) or {}
    schemas = {each["IndexName"]: each["KeySchema"] for each in description.get("GlobalSecondaryIndexes", [])}
    schema = schemas.get(index, description.get("KeySchema", []))
    return next((str(each["AttributeName"]) for each in schema if each["KeyType"] == "HASH"), "")
