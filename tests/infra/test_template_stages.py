"""The resources of each stage of samconfig.toml, of which two can share an account."""

from typing import Any

import pytest

from tests.infra import sam
from tests.infra.test_samconfig import STAGES, overrides

# A fixed name is unique per account and region: a second stage would clash, and a replacement too.
NAMES = {
    "AWS::CloudWatch::Alarm": "AlarmName",
    "AWS::CloudWatch::CompositeAlarm": "AlarmName",
    "AWS::DynamoDB::Table": "TableName",
    "AWS::IAM::Role": "RoleName",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::Scheduler::Schedule": "Name",
    "AWS::SQS::Queue": "QueueName",
}
# Resources that take no tags, or have only those of the stack, such as log groups; samconfig.toml sets these.
UNTAGGED = {
    "AWS::CloudWatch::Dashboard", "AWS::Logs::QueryDefinition",
    "AWS::Lambda::Alias", "AWS::Lambda::EventInvokeConfig", "AWS::Lambda::EventSourceMapping",
    "AWS::Lambda::LayerVersion", "AWS::Lambda::Permission", "AWS::Lambda::Version", "AWS::Logs::LogGroup",
    "AWS::SQS::QueuePolicy", "AWS::Scheduler::Schedule",
}  # fmt: skip
# SAM makes this one for the schedule, without tags; it has those of the stack.
UNTAGGED_BY_SAM = {"ReprocessFunctionScheduleRole"}


@pytest.fixture(scope="module", params=STAGES)
def stage(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def deployed(stage: str) -> sam.Template:
    """The template with the stage's parameters."""
    return sam.Template(parameters=overrides(stage))


@pytest.fixture(scope="module")
def resources(template: sam.Body, stage: str) -> sam.Body:
    return sam.transform(template, overrides(stage))


def tags_of(resource: sam.Body) -> dict[str, Any]:
    """Return the tags, which have one of three forms depending on the type."""
    properties = resource["Properties"]
    if resource["Type"] == "AWS::ApiGatewayV2::Api":
        return {tag["name"]: tag["x-amazon-apigateway-tag-value"] for tag in properties["Body"].get("tags", [])}
    tags = properties.get("Tags", {})
    return tags if isinstance(tags, dict) else {tag["Key"]: tag["Value"] for tag in tags}


def test_nothing_has_a_name_that_a_second_stage_would_need_too(resources: sam.Body) -> None:
    named = [
        name
        for kind, attribute in NAMES.items()
        for name, properties in sam.of_type(resources, kind).items()
        if "${AWS::StackName}" not in str(properties.get(attribute, "${AWS::StackName}"))
    ]
    assert named == []
    for layer in sam.of_type(resources, "AWS::Lambda::LayerVersion").values():
        assert "${AWS::StackName}" in layer["LayerName"]["Fn::Sub"]


def test_everything_that_takes_tags_has_the_project_and_the_stage(resources: sam.Body, deployed: sam.Template) -> None:
    for name, resource in resources.items():
        if resource["Type"] in UNTAGGED or name in UNTAGGED_BY_SAM:
            continue
        pairs = tags_of(resource)
        found = {key: deployed.resolve(pairs.get(key)) for key in ("Project", "Stage")}
        assert found == {"Project": "retail-pulse", "Stage": deployed.parameters["Stage"]}, name


def test_both_queues_refuse_requests_without_tls(resources: sam.Body) -> None:
    policy = sam.only(resources, "AWS::SQS::QueuePolicy")
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert {sam.logical_id(queue) for queue in policy["Queues"]} == set(sam.of_type(resources, sam.QUEUE))
    assert statement["Effect"] == "Deny"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_only_the_refusal_of_plain_http_has_a_wildcard(resources: sam.Body) -> None:
    wild = {
        name
        for name, resource in resources.items()
        for path, value in sam.leaves(resource)
        if path[-1] in {"Action", "Resource", "Principal"} or path[-2:-1] in {("Action",), ("Resource",)}
        if isinstance(value, str) and "*" in value
    }
    assert wild == {"QueuesByTlsAlone"}


def test_the_stage_of_the_api_is_throttled_and_logs_neither_headers_nor_queries(resources: sam.Body) -> None:
    stage = sam.only(resources, "AWS::ApiGatewayV2::Stage")
    assert {"ThrottlingRateLimit", "ThrottlingBurstLimit"} <= stage["DefaultRouteSettings"].keys()
    logged = stage["AccessLogSettings"]["Format"]
    assert not [word for word in ("header", "querystring", "rawQuery", "body") if word.lower() in logged.lower()]


def test_the_defaults_leave_a_new_account_half_of_its_ten_functions_at_once() -> None:
    assert int(sam.Template().parameters["ProcessConcurrency"]) <= 5
