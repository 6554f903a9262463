"""Creates API keys: ``python -m tools.keys create --client NAME`` against a deployed stack or the local one."""

import argparse
import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from local.names import REGION, STACK_NAME
from retail_pulse.dynamo import JobsTable
from retail_pulse.errors import RetailPulseError
from retail_pulse.keys import ApiKey, KeyScope, check_client, hash_key, new_key

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_DEFAULT_STACK = "retail-pulse-dev"


def store_key(
    dynamodb: "DynamoDBClient",
    table_name: str,
    key: str,
    client: str,
    scopes: frozenset[KeyScope] = frozenset(KeyScope),
) -> None:
    """Store what is kept of a key.

    Raises
    ------
    InvalidClientError
        The client's name breaks the rule.
    StorageUnavailableError
        The table did not take it.
    """
    JobsTable(dynamodb, table_name).put_api_key(ApiKey(hash_key(key), check_client(client), scopes, datetime.now(UTC)))


def _table_of(stack: str, endpoint: str | None) -> str:
    outputs = boto3.client("cloudformation", endpoint_url=endpoint).describe_stacks(StackName=stack)["Stacks"][0][
        "Outputs"
    ]
    return next(output["OutputValue"] for output in outputs if output["OutputKey"] == "TableName")


def _create(client: str, stack: str, endpoint: str | None) -> None:
    key = new_key()
    store_key(boto3.client("dynamodb", endpoint_url=endpoint), _table_of(stack, endpoint), key, client)
    print(f"API key of client {client}, shown this once:\n{key}")


def main() -> int:
    """Run the command; return the exit code."""
    parser = argparse.ArgumentParser(prog="make key", description=__doc__)
    create = parser.add_subparsers(required=True).add_parser("create")
    create.add_argument("--client", required=True, help="name of the client: a-z, 0-9 and -")
    create.add_argument("--stack", help=f"name of the CloudFormation stack, {_DEFAULT_STACK} by default")
    create.add_argument("--url", help="of the embedded stack, such as http://127.0.0.1:8080, instead of AWS")
    options = parser.parse_args()
    if options.url:
        # The embedded stack takes any credentials; AWS's own must not reach it.
        os.environ |= {
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": REGION,
        }
    try:
        _create(options.client, options.stack or (STACK_NAME if options.url else _DEFAULT_STACK), options.url)
    except (RetailPulseError, ClientError, BotoCoreError) as error:
        print(f"no key was made: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
