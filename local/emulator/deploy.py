"""Deploys the template to the emulator, as CloudFormation and API Gateway would."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, WaiterError

from local.emulator.bundles import Bundle, function_bundle, layer_bundle
from local.emulator.clients import client
from local.emulator.emulator import STACK_NAME
from local.emulator.http_api import make_http_api
from local.emulator.template import FUNCTION, LAYER, TABLE, Template

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client

_BUCKET = "retail-pulse-local-artifacts"
# The emulator deploys within seconds; the waiters' default delays are meant for minutes.
_WAITER: Any = {"Delay": 0.05, "MaxAttempts": 600}


class DeployError(RuntimeError):
    """The emulator rejected the template; the text says which resource and why."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """The outcome of a deployment: the API's ID and the template's outputs."""

    api_id: str
    outputs: dict[str, str]


def deploy(endpoint_url: str, root: Path, parameters: Mapping[str, str]) -> Deployment:
    """Deploy ``infra/template.yaml`` of a project, as an update where an earlier deployment exists.

    Parameters
    ----------
    endpoint_url
        Where the emulator is.
    root
        The project's folder.
    parameters
        Template parameters that differ from their defaults.

    Raises
    ------
    TemplateError
        The local stack cannot deploy the template or a parameter.
    DeployError
        The emulator rejected the template.
    """
    template = Template(root / "infra" / "template.yaml", parameters)
    _upload(client("s3", endpoint_url), template)
    cloudformation: CloudFormationClient = client("cloudformation", endpoint_url)
    _deploy_stack(cloudformation, template)
    resources = {
        resource["LogicalResourceId"]: resource["PhysicalResourceId"]
        for resource in cloudformation.describe_stack_resources(StackName=STACK_NAME)["StackResources"]
    }
    _expire_items(client("dynamodb", endpoint_url), template, resources)
    api_id = resources[template.http_api()]
    functions: LambdaClient = client("lambda", endpoint_url)
    make_http_api(client("apigatewayv2", endpoint_url), functions, template, resources, api_id)
    _start_event_sources(functions)
    stack = cloudformation.describe_stacks(StackName=STACK_NAME)["Stacks"][0]
    return Deployment(api_id, {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]})


def _upload(s3: "S3Client", template: Template) -> None:
    s3.create_bucket(Bucket=_BUCKET)
    for properties in template.resources(FUNCTION).values():
        properties["CodeUri"] = _put(s3, function_bundle(template.folder / properties["CodeUri"]))
    for properties in template.resources(LAYER).values():
        properties["ContentUri"] = _put(s3, layer_bundle(template.folder / properties["ContentUri"]))


def _put(s3: "S3Client", bundle: Bundle) -> dict[str, str]:
    s3.put_object(Bucket=_BUCKET, Key=bundle.key, Body=bundle.content)
    return {"Bucket": _BUCKET, "Key": bundle.key}


def _deploy_stack(cloudformation: "CloudFormationClient", template: Template) -> None:
    exists = _stack_exists(cloudformation)
    try:
        change = cloudformation.create_change_set(
            StackName=STACK_NAME,
            ChangeSetName=f"local-{uuid.uuid4()}",
            ChangeSetType="UPDATE" if exists else "CREATE",
            TemplateBody=json.dumps(template.body, separators=(",", ":")),
            Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in template.parameters.items()],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
    except ClientError as error:
        raise DeployError(f"CloudFormation: {error.response['Error']['Message']}") from error
    try:
        cloudformation.get_waiter("change_set_create_complete").wait(ChangeSetName=change["Id"], WaiterConfig=_WAITER)
    except WaiterError as error:
        answer = cloudformation.describe_change_set(ChangeSetName=change["Id"])
        if "didn't contain changes" in answer.get("StatusReason", "").lower():
            return
        raise DeployError(f"CloudFormation: {answer.get('StatusReason', error)}") from error
    cloudformation.execute_change_set(ChangeSetName=change["Id"])
    try:
        waiter = cloudformation.get_waiter("stack_update_complete" if exists else "stack_create_complete")
        waiter.wait(StackName=STACK_NAME, WaiterConfig=_WAITER)
    except WaiterError as error:
        events = cloudformation.describe_stack_events(StackName=STACK_NAME)["StackEvents"]
        reasons = [
            f"{event.get('LogicalResourceId')}: {event.get('ResourceStatusReason')}"
            for event in reversed(events)
            if event.get("ResourceStatus", "").endswith("_FAILED")
        ]
        raise DeployError("CloudFormation: " + ("; ".join(reasons) or str(error))) from error


def _stack_exists(cloudformation: "CloudFormationClient") -> bool:
    try:
        cloudformation.describe_stacks(StackName=STACK_NAME)
    except ClientError as error:
        if "does not exist" in str(error):
            return False
        raise
    return True


def _expire_items(dynamodb: "DynamoDBClient", template: Template, resources: Mapping[str, str]) -> None:
    # The emulator expires items, but ignores that the template asks for it.
    for name, properties in template.resources(TABLE).items():
        wanted = properties.get("TimeToLiveSpecification")
        found = dynamodb.describe_time_to_live(TableName=resources[name])["TimeToLiveDescription"]
        if wanted and found.get("TimeToLiveStatus") != "ENABLED":
            dynamodb.update_time_to_live(TableName=resources[name], TimeToLiveSpecification=wanted)


def _start_event_sources(functions: "LambdaClient") -> None:
    # `stop_functions` of an earlier run has disabled them in the kept state.
    for mapping in functions.list_event_source_mappings()["EventSourceMappings"]:
        functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)
