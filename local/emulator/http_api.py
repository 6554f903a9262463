"""The HTTP API's authorizers, integrations, routes and stage.

The SAM translator puts them into an OpenAPI body of ``AWS::ApiGatewayV2::Api``, which API Gateway imports and the
emulator ignores. This makes them from the same template, one call each.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from local.emulator.template import Template

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
    """Give an API the authorizers, routes and the stage that the template describes, in place of those it has.

    Parameters
    ----------
    gateway, functions
        Clients of the emulator.
    template
        The template that was deployed.
    resources
        Physical ids of the stack's resources by their logical ids.
    api_id
        The API.
    """
    _clear(gateway, api_id)
    arns = {
        name: functions.get_function_configuration(FunctionName=resources[name])["FunctionArn"]
        for name in {route.function for route in template.routes()} | {each.function for each in template.authorizers()}
    }
    authorizers = {
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
    integrations = {
        name: gateway.create_integration(
            ApiId=api_id,
            IntegrationType="AWS_PROXY",
            IntegrationUri=arns[name],
            IntegrationMethod="POST",
            PayloadFormatVersion="2.0",
        )["IntegrationId"]
        for name in sorted({route.function for route in template.routes()})
    }
    for route in template.routes():
        target = f"integrations/{integrations[route.function]}"
        if route.authorizer is None:
            gateway.create_route(ApiId=api_id, RouteKey=route.key, Target=target, AuthorizationType="NONE")
        else:
            gateway.create_route(
                ApiId=api_id,
                RouteKey=route.key,
                Target=target,
                AuthorizationType="CUSTOM",
                AuthorizerId=authorizers[route.authorizer],
            )
    if STAGE not in {stage["StageName"] for stage in gateway.get_stages(ApiId=api_id)["Items"]}:
        gateway.create_stage(ApiId=api_id, StageName=STAGE, AutoDeploy=True)


def _clear(gateway: "ApiGatewayV2Client", api_id: str) -> None:
    for route in gateway.get_routes(ApiId=api_id)["Items"]:
        gateway.delete_route(ApiId=api_id, RouteId=route["RouteId"])
    for integration in gateway.get_integrations(ApiId=api_id)["Items"]:
        gateway.delete_integration(ApiId=api_id, IntegrationId=integration["IntegrationId"])
    for authorizer in gateway.get_authorizers(ApiId=api_id)["Items"]:
        gateway.delete_authorizer(ApiId=api_id, AuthorizerId=authorizer["AuthorizerId"])
