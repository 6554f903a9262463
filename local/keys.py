"""The fixed API key of the local stack."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from local.names import API_KEY, CLIENT
from retail_pulse.keys import KeyScope, hash_key

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def put_local_key(dynamodb: "DynamoDBClient", table: str) -> None:
    """Let the fixed key in as the client ``local``, with every scope."""
    dynamodb.put_item(
        TableName=table,
        Item={
            "pk": {"S": f"KEY#{hash_key(API_KEY)}"},
            "sk": {"S": "KEY"},
            "client": {"S": CLIENT},
            "scopes": {"SS": [scope.value for scope in KeyScope]},
            "created_at": {"S": datetime.now(UTC).isoformat()},
        },
    )
