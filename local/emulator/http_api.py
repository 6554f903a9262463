"""The HTTP API's authorizers, integrations, routes and stage.

The SAM translator puts them into an OpenAPI body of ``AWS::ApiGatewayV2::Api``, which API Gateway imports and the
emulator ignores. This module creates them from the same template, one call per resource.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from local.emulator.template import Template

if TYPE_CHECKING:
    from mypy_boto3_apigatewayv2 import ApiGatewayV2Client
    from mypy_boto3_lambda import LambdaClient

_STAGE = "$default"


def make_http_api(
    gateway: "ApiGatewayV2Client",
    functions: "LambdaClient",
    template: Template,
    resources: Mapping[str, str],
    api_id: str,
) -> None:
    """Replace an API's authorizers, integrations and routes with those of the template, and create its stage.

    `resources` has the physical IDs of the stack's resources by their logical IDs.
    """
    _clear(gateway, api_id)
    routes = template.routes()

    def arn(function: str) -> str:
        return functions.get_alias(FunctionName=resources[function], Name=template.alias())["AliasArn"]

    authorizers = {
        each.name: gateway.create_authorizer(
            ApiId=api_id,
            Name=each.name,
            AuthorizerType="REQUEST",
            AuthorizerUri=arn(each.function),
            AuthorizerPayloadFormatVersion="2.0",
            EnableSimpleResponses=True,
            IdentitySource=list(each.identity_sources),
            AuthorizerResultTtlInSeconds=each.cache_seconds,
        )["AuthorizerId"]
        for each in template.authorizers()
    }
    integrations = {
        name: gateway.create_integration(
            ApiId=api_id,
            IntegrationType="AWS_PROXY",
            IntegrationUri=arn(name),
            IntegrationMethod="POST",
            PayloadFormatVersion="2.0",
        )["IntegrationId"]
        for name in sorted({route.function for route in routes})
    }
    for route in routes:
        authorization: Any = {"AuthorizationType": "NONE"}
        if route.authorizer is not None:
            authorization = {"AuthorizationType": "CUSTOM", "AuthorizerId": authorizers[route.authorizer]}
        target = f"integrations/{integrations[route.function]}"
        gateway.create_route(ApiId=api_id, RouteKey=route.key, Target=target, **authorization)
    if _STAGE not in {stage["StageName"] for stage in gateway.get_stages(ApiId=api_id)["Items"]}:
        gateway.create_stage(ApiId=api_id, StageName=_STAGE, AutoDeploy=True)


def _clear(gateway: "ApiGatewayV2Client", api_id: str) -> None:
    for route in gateway.get_routes(ApiId=api_id)["Items"]:
        gateway.delete_route(ApiId=api_id, RouteId=route["RouteId"])
    for integration in gateway.get_integrations(ApiId=api_id)["Items"]:
        gateway.delete_integration(ApiId=api_id, IntegrationId=integration["IntegrationId"])
    for authorizer in gateway.get_authorizers(ApiId=api_id)["Items"]:
        gateway.delete_authorizer(ApiId=api_id, AuthorizerId=authorizer["AuthorizerId"])
