"""Lambda authorizer: finds the client of an API key."""

from typing import Any

from aws_lambda_powertools.utilities.data_classes.api_gateway_authorizer_event import APIGatewayAuthorizerEventV2
from aws_lambda_powertools.utilities.typing import LambdaContext

from retail_pulse import aws
from retail_pulse.dynamo import JobsTable
from retail_pulse.keys import hash_key
from retail_pulse.settings import AuthorizeSettings
from retail_pulse.telemetry import make_logger

logger = make_logger()
settings = AuthorizeSettings.from_environment()
table = JobsTable(aws.dynamodb(), settings.table_name)


@logger.inject_lambda_context
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Answer API Gateway's question, in the simple form of payload version 2.0."""
    key = APIGatewayAuthorizerEventV2(event).headers.get("x-api-key", "")
    found = table.api_key(hash_key(key))
    if found is None or found.revoked_at is not None:
        logger.info("refused", extra={"client": found.client if found else None})
        return {"isAuthorized": False}
    logger.info("authorized", extra={"client": found.client})
    return {"isAuthorized": True, "context": {"client": found.client, "scopes": " ".join(sorted(found.scopes))}}
