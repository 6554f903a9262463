"""Lambda authorizer: finds the client of an API key."""

import gc

gc.disable()  # until the end of the cold start: `resume_gc` says why

from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.data_classes.api_gateway_authorizer_event import APIGatewayAuthorizerEventV2
from aws_lambda_powertools.utilities.typing import LambdaContext

from retail_pulse.domain.api_keys import KeyRefusedError, admit
from retail_pulse.runtime.garbage import resume_gc
from retail_pulse.runtime.settings import AuthorizeSettings
from retail_pulse.runtime.telemetry import FunctionMetrics, make_logger
from retail_pulse.storage import clients
from retail_pulse.storage.api_keys_table import ApiKeysTable

logger = make_logger()
metrics = FunctionMetrics()
settings = AuthorizeSettings.from_environment()
# Two attempts fit into the function's 5 seconds, even if both hang.
dynamodb = clients.dynamodb(attempts=2, connect_seconds=0.75, read_seconds=1)
table = ApiKeysTable(dynamodb, settings.table_name)
resume_gc()


@logger.inject_lambda_context
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Return API Gateway's simple response of payload version 2.0."""
    request = APIGatewayAuthorizerEventV2(event)
    # The request's id links the line to the access log.
    about = {"request": request.request_context.request_id}
    try:
        key = admit(table, request.headers.get("x-api-key", ""), datetime.now(UTC), settings.local_key)
    except KeyRefusedError as refusal:
        known = refusal.key
        names = {"client": known.client, "key_id": known.key_id} if known else {}
        logger.warning("refused", extra={**about, "reason": refusal.reason, **names})
        metrics.count(RequestsRefused=1)
        metrics.send()
        return {"isAuthorized": False}
    logger.info("authorized", extra={**about, "client": key.client, "key_id": key.key_id})
    # Handlers enforce the scopes: API Gateway caches one response for all routes.
    context = {"client": key.client, "key_id": key.key_id, "scopes": " ".join(sorted(key.scopes))}
    if key.daily_images is not None:
        context["daily_images"] = str(key.daily_images)
    return {"isAuthorized": True, "context": context}
