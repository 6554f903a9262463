"""The HTTP API's authorizers, integrations, routes and stage.

The SAM translator puts them into an OpenAPI body of ``AWS::ApiGatewayV2::Api``, which API Gateway imports and the
emulator ignores. This module creates them from the same template, one call per resource.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from local.emulator.template import Route, Template

if TYPE_CHECKING:
    from mypy_boto3_apigatewayv2 import ApiGatewayV2Client
    from mypy_boto3_lambda import LambdaClient

STAGE = "$default"


def make_http_api(
    gateway: "ApiGatewayV2Client",
    functions: "LambdaClient",
    template: Template,
    resources: Mapping[str, str],
    api_id: str,
) -> None:
    """Replace an API's authorizers, integrations and routes with those of the template, and create its stage.

    Parameters
    ----------
    gateway, functions
        Clients of the emulator.
    template
        The deployed template.
    resources
        Physical IDs of the stack's resources by their logical IDs.
    api_id
        The API's ID.
    """
    _clear(gateway, api_id)
    routes = template.routes()
    called = {route.function for route in routes} | {each.function for each in template.authorizers()}
    arns = {
        name: functions.get_function_configuration(FunctionName=resources[name])["FunctionArn"]
        for name in sorted(called)
    }
    authorizers = _authorizers(gateway, api_id, template, arns)
    integrations = _integrations(gateway, api_id, routes, arns)
    for route in routes:
        authorization: Any = {"AuthorizationType": "NONE"}
        if route.authorizer is not None:
            authorization = {"AuthorizationType": "CUSTOM", "AuthorizerId": authorizers[route.authorizer]}
        target = f"integrations/{integrations[route.function]}"
        gateway.create_route(ApiId=api_id, RouteKey=route.key, Target=target, **authorization)
    if STAGE not in {stage["StageName"] for stage in gateway.get_stages(ApiId=api_id)["Items"]}:
        gateway.create_stage(ApiId=api_id, StageName=STAGE, AutoDeploy=True)


def _authorizers(
    gateway: "ApiGatewayV2Client", api_id: str, template: Template, arns: Mapping[str, str]
) -> dict[str, str]:
    """Create the authorizers; return their IDs by name."""
    return {
        each.name: gateway.create_authorizer(
            ApiId=api_id,
            Name=each.name,
            AuthorizerType="REQUEST",
            AuthorizerUri=arns[each.function],
            AuthorizerPayloadFormatVersion="2.0",
            EnableSimpleResponses=True,
            IdentitySource=list(each.identity_sources),
            AuthorizerResultTtlInSeconds=each.cache_seconds,
        )["AuthorizerId"]
        for each in template.authorizers()
    }


def _integrations(
    gateway: "ApiGatewayV2Client", api_id: str, routes: list[Route], arns: Mapping[str, str]
) -> dict[str, str]:
    """Create one integration per function of a route; return their IDs by the function's logical ID."""
    return {
        name: gateway.create_integration(
            ApiId=api_id,
            IntegrationType="AWS_PROXY",
            IntegrationUri=arns[name],
            IntegrationMethod="POST",
            PayloadFormatVersion="2.0",
        )["IntegrationId"]
        for name in sorted({route.function for route in routes})
    }


def _clear(gateway: "ApiGatewayV2Client", api_id: str) -> None:
    for route in gateway.get_routes(ApiId=api_id)["Items"]:
        gateway.delete_route(ApiId=api_id, RouteId=route["RouteId"])
    for integration in gateway.get_integrations(ApiId=api_id)["Items"]:
        gateway.delete_integration(ApiId=api_id, IntegrationId=integration["IntegrationId"])
    for authorizer in gateway.get_authorizers(ApiId=api_id)["Items"]:
        gateway.delete_authorizer(ApiId=api_id, AuthorizerId=authorizer["AuthorizerId"])
