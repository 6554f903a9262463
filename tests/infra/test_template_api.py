"""The HTTP API: its routes, and who may call its authorizer.

Mistakes in both fail only on AWS, so that the tests check the result of the SAM transform.
"""

import copy
import json
import re
from typing import Any, NamedTuple

import pytest

from tests.infra import sam
from tests.infra.test_template_parameters import PARAMETERS

API_GATEWAY = "apigateway.amazonaws.com"


class Target(NamedTuple):
    """The function of a route and the authorizer in front of it."""

    function: str
    authorizer: str


ROUTES = {
    "POST /api/{proxy+}": Target("SubmitFunction", "ApiKey"),
    "GET /api/{proxy+}": Target("StatusFunction", "ApiKey"),
    "GET /api/health": Target("StatusFunction", "NONE"),
    "GET /openapi.json": Target("StatusFunction", "NONE"),
    "GET /docs": Target("StatusFunction", "NONE"),
    "GET /docs/errors": Target("StatusFunction", "NONE"),
}


# Only with the parameter Console.
CONSOLE_ROUTES = {
    "GET /": Target("ConsoleFunction", "NONE"),
    "GET /console/{proxy+}": Target("ConsoleFunction", "NONE"),
}


def chosen(value: Any, console: bool) -> Any:
    """Return a value as CloudFormation resolves it, with the console or without."""
    match value:
        case {"Fn::If": ["HasConsole", yes, no]}:
            return chosen(yes if console else no, console)
        case dict():
            found = {key: chosen(item, console) for key, item in value.items()}
            return {key: item for key, item in found.items() if item != {"Ref": "AWS::NoValue"}}
        case _:
            return value


def routes(transformed: sam.Body, console: bool = True) -> dict[str, Target]:
    """Return the routes of the OpenAPI body that API Gateway imports."""
    found = {}
    for path, methods in chosen(transformed["Api"]["Properties"]["Body"]["paths"], console).items():
        for name, route in methods.items():
            uri = route["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"]
            (alias,) = re.findall(r"\$\{(\w+)\}/invocations", uri)
            function = sam.called(transformed, {"Ref": alias})
            (security,) = route["security"]
            (authorizer,) = security
            found[f"{name.upper()} {path}"] = Target(function, authorizer)
    return found


def callers(transformed: sam.Body, function: str) -> list[str]:
    """Return the source ARNs from which API Gateway may call a function."""
    return [
        permission["SourceArn"]["Fn::Sub"][0]
        for permission in sam.of_type(transformed, sam.PERMISSION).values()
        if permission["Principal"] == API_GATEWAY and sam.called(transformed, permission["FunctionName"]) == function
    ]


def cors(transformed: sam.Body) -> tuple[str, sam.Body, sam.Body]:
    """Return the condition, and the configuration with and without it, of the body that API Gateway imports."""
    condition, configured, otherwise = transformed["Api"]["Properties"]["Body"]["x-amazon-apigateway-cors"]["Fn::If"]
    return condition, configured, otherwise


def authorizer(transformed: sam.Body) -> sam.Body:
    schemes = transformed["Api"]["Properties"]["Body"]["components"]["securitySchemes"]
    found: sam.Body = schemes["ApiKey"]["x-amazon-apigateway-authorizer"]
    return found


def auth(template: sam.Body) -> sam.Body:
    found: sam.Body = template["Resources"]["Api"]["Properties"]["Auth"]
    return found


@pytest.fixture
def stage(transformed: sam.Body) -> sam.Body:
    return sam.only(transformed, "AWS::ApiGatewayV2::Stage")


class TestRoutes:
    def test_are_the_catch_alls_with_an_authorizer_and_the_open_ones(self, transformed: sam.Body) -> None:
        assert routes(transformed) == ROUTES | CONSOLE_ROUTES

    def test_are_without_those_of_the_console_when_it_is_off(self, transformed: sam.Body) -> None:
        assert routes(transformed, console=False) == ROUTES

    def test_never_end_in_a_slash_except_the_root_which_api_gateway_does_not_serve(self, transformed: sam.Body) -> None:
        assert {key for key in routes(transformed) if key.endswith("/")} == {"GET /"}

    def test_may_each_call_their_function(self, transformed: sam.Body) -> None:
        for key, target in routes(transformed).items():
            method, _, path = key.partition(" ")
            ending = f"/{method}{path.replace('{proxy+}', '*')}"
            assert any(arn.endswith(ending) for arn in callers(transformed, target.function)), key


class TestCors:
    def test_is_left_out_without_origins(self, transformed: sam.Body) -> None:
        condition, _, otherwise = cors(transformed)
        assert otherwise == {"Ref": "AWS::NoValue"}
        for origins, expected in (("", False), ("https://a.test", True)):
            template = sam.Template(parameters={"AllowedOrigins": origins})
            assert template.holds(template.body["Conditions"][condition]) is expected

    def test_allows_each_of_the_origins(self, template: sam.Body) -> None:
        origins = "https://a.test,https://b.test"
        configured = cors(sam.transform(template, {"AllowedOrigins": origins}))[1]
        assert configured["allowOrigins"] == {"Fn::Split": [",", origins]}

    def test_allows_what_the_routes_need_and_no_credentials(self, transformed: sam.Body) -> None:
        configured = cors(transformed)[1]
        assert set(configured["allowMethods"]) == {key.partition(" ")[0] for key in ROUTES}
        assert configured["allowHeaders"] == ["content-type", "idempotency-key", "x-api-key"]
        assert configured["exposeHeaders"] == ["idempotent-replayed", "link", "location", "retry-after"]
        assert "allowCredentials" not in configured

    def test_needs_no_key_for_a_preflight(self, transformed: sam.Body) -> None:
        """API Gateway answers a preflight itself, unless a route has the method, which then may have an authorizer."""
        assert not {key for key in routes(transformed) if key.partition(" ")[0] in {"OPTIONS", "ANY", "$default"}}


class TestTheAuthorizer:
    def test_may_be_called_by_api_gateway(self, transformed: sam.Body) -> None:
        (source,) = callers(transformed, "AuthorizeFunction")
        assert source.endswith("${__ApiId__}/authorizers/*")

    def test_may_not_without_its_default_permissions(self, template: sam.Body) -> None:
        changed = copy.deepcopy(template)
        del auth(changed)["Authorizers"]["ApiKey"]["EnableFunctionDefaultPermissions"]
        assert callers(sam.transform(changed), "AuthorizeFunction") == []

    def test_stands_before_every_route_that_does_not_opt_out(self, template: sam.Body) -> None:
        assert auth(template)["DefaultAuthorizer"] == "ApiKey"

    def test_is_asked_with_the_api_key_in_the_form_that_the_handler_answers(self, transformed: sam.Body) -> None:
        found = authorizer(transformed)
        assert found["identitySource"] == ["$request.header.x-api-key"]
        assert found["authorizerPayloadFormatVersion"] == "2.0"
        assert found["enableSimpleResponses"] is True

    def test_is_called_by_its_alias(self, transformed: sam.Body) -> None:
        uri = authorizer(transformed)["authorizerUri"]["Fn::Sub"][1]["__FunctionArn__"]
        assert sam.called(transformed, uri) == "AuthorizeFunction"

    @pytest.mark.parametrize("seconds", PARAMETERS["AuthorizerCacheSeconds"]["AllowedValues"])
    def test_keeps_an_answer_as_long_as_the_parameter_says_which_is_a_number(
        self, transformed: sam.Body, seconds: int
    ) -> None:
        """Check that the API's body has no text: a ``Ref`` would be one, and AWS documents a number."""
        deployed = sam.Template(parameters={"AuthorizerCacheSeconds": str(seconds)})
        found = deployed.resolve(authorizer(transformed)["authorizerResultTtlInSeconds"])
        assert (found, type(found)) == (seconds, int)


class TestTheStage:
    def test_is_throttled(self, stage: sam.Body) -> None:
        assert stage["DefaultRouteSettings"] == {
            "ThrottlingRateLimit": {"Ref": "ThrottleRate"},
            "ThrottlingBurstLimit": {"Ref": "ThrottleBurst"},
        }

    def test_throttles_every_route_without_a_key_apart_from_all_others(
        self, transformed: sam.Body, stage: sam.Body
    ) -> None:
        few = {"ThrottlingRateLimit": 1, "ThrottlingBurstLimit": 5}
        some = {"ThrottlingRateLimit": 10, "ThrottlingBurstLimit": 20}
        settings = {"GET /docs": few, "GET /docs/errors": few, "GET /openapi.json": few}
        settings |= {"GET /api/health": some}
        of_console = {"GET /": some, "GET /console/{proxy+}": {"ThrottlingRateLimit": 50, "ThrottlingBurstLimit": 250}}
        for console, expected in ((True, settings | of_console), (False, settings)):
            assert chosen(stage["RouteSettings"], console) == expected
            # API Gateway refuses a stage that names a route which its API does not have.
            found = routes(transformed, console)
            assert expected.keys() == {key for key, target in found.items() if target.authorizer == "NONE"}
        assert stage["ApiId"] == {"Ref": "Api"}

    def test_logs_to_a_group_that_needs_no_entry_in_the_accounts_policy(
        self, transformed: sam.Body, stage: sam.Body
    ) -> None:
        """Check the prefix; otherwise each stage adds to the one policy of CloudWatch Logs, which becomes too long."""
        group = transformed[sam.logical_id(stage["AccessLogSettings"]["DestinationArn"])]
        assert group["Properties"]["LogGroupName"]["Fn::Sub"].startswith("/aws/vendedlogs/${AWS::StackName}/")

    def test_logs_no_header_and_no_query_string(self, stage: sam.Body) -> None:
        logged = set(re.findall(r"\$context\.([\w.]+)", stage["AccessLogSettings"]["Format"]))
        assert {"routeKey", "status", "requestId"} <= logged
        assert "$request" not in stage["AccessLogSettings"]["Format"]
        assert not {name for name in logged - {"identity.sourceIp"} if "identity" in name or "query" in name.lower()}

    def test_logs_nothing_that_a_client_writes_so_that_no_quote_ends_a_field(self, stage: sam.Body) -> None:
        """Check every variable: by AWS, by the template, by authorize; a method is a token, without quotes.

        https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging-variables.html has them. HTTP APIs
        have no latency of the authorizer: it is what the response takes longer than the integration.
        """
        logged = set(re.findall(r"\$context\.([\w.]+)", stage["AccessLogSettings"]["Format"]))
        by_aws = {
            "requestId", "requestTime", "identity.sourceIp", "status", "responseLength", "responseLatency",
            "integrationLatency", "error.responseType", "authorizer.error", "integrationErrorMessage",
        }  # fmt: skip
        assert logged == by_aws | {"httpMethod", "routeKey", "authorizer.client", "authorizer.key_id"}
        assert json.loads(stage["AccessLogSettings"]["Format"]).keys() >= {
            "route", "status", "client", "key", "ip", "integrationMs", "error", "authorizerError"
        }  # fmt: skip
