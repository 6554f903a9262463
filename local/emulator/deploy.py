"""Deploys the template to the emulator, as CloudFormation and API Gateway would."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, WaiterError

from local.emulator.bundles import Bundle, pack
from local.emulator.clients import client
from local.emulator.emulator import STACK_NAME
from local.emulator.http_api import make_http_api
from local.emulator.template import TABLE, Template, for_emulator

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient

_BUCKET = "retail-pulse-local-artifacts"
_TEMPLATE_KEY = "template.json"
# The emulator deploys within seconds; the waiters' default delays are meant for minutes.
_WAITER: Any = {"Delay": 0.05, "MaxAttempts": 600}


class DeployError(RuntimeError):
    """The emulator rejected the template; the text says which resource and why."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """The outcome of a deployment: the API's ID and the template's outputs."""

    api_id: str
    outputs: dict[str, str]


def deploy(endpoint_url: str, secret: str, root: Path, parameters: Mapping[str, str]) -> Deployment:
    """Deploy ``infra/template.yaml`` of a project's folder, as an update where an earlier deployment exists.

    Raises
    ------
    TemplateError
        The local stack cannot deploy the template or a parameter.
    DeployError
        The emulator rejected the template.
    """
    template = Template(root / "infra" / "template.yaml", parameters)
    connect = partial(client, endpoint_url=endpoint_url, secret=secret)
    s3 = connect("s3")
    s3.create_bucket(Bucket=_BUCKET)

    def put(bundle: Bundle) -> dict[str, str]:
        s3.put_object(Bucket=_BUCKET, Key=bundle.key, Body=bundle.content)
        return {"Bucket": _BUCKET, "Key": bundle.key}

    pack(template, put)
    if "Release" not in parameters:
        template.parameters["Release"] = _release(template)
    cloudformation: CloudFormationClient = connect("cloudformation")
    # From a bucket, as the SAM CLI does: a request holds at most 51,200 bytes of template.
    body = json.dumps(for_emulator(template.body), separators=(",", ":"))
    s3.put_object(Bucket=_BUCKET, Key=_TEMPLATE_KEY, Body=body.encode())
    _deploy_stack(cloudformation, template, f"{endpoint_url}/{_BUCKET}/{_TEMPLATE_KEY}")
    resources = {
        resource["LogicalResourceId"]: resource["PhysicalResourceId"]
        for resource in cloudformation.describe_stack_resources(StackName=STACK_NAME)["StackResources"]
    }
    _expire_items(connect("dynamodb"), template, resources)
    api_id = resources[template.http_api()]
    functions: LambdaClient = connect("lambda")
    make_http_api(connect("apigatewayv2"), functions, template, resources, api_id)
    _start_event_sources(functions)
    stack = cloudformation.describe_stacks(StackName=STACK_NAME)["Stacks"][0]
    return Deployment(api_id, {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]})


def _release(template: Template) -> str:
    """Return a hash of the packed template and its parameters: as on AWS, a change publishes new versions."""
    deployed = json.dumps([template.body, template.parameters], sort_keys=True)
    return hashlib.sha256(deployed.encode()).hexdigest()[:10]


def _deploy_stack(cloudformation: "CloudFormationClient", template: Template, url: str) -> None:
    stack: Any = {
        "StackName": STACK_NAME,
        "TemplateURL": url,
        "Parameters": [{"ParameterKey": name, "ParameterValue": value} for name, value in template.parameters.items()],
        "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    }
    waiter: Any = cloudformation.get_waiter("stack_create_complete")
    try:
        try:
            cloudformation.create_stack(**stack)
        except cloudformation.exceptions.AlreadyExistsException:
            waiter = cloudformation.get_waiter("stack_update_complete")
            cloudformation.update_stack(**stack)
    except ClientError as error:
        reason = error.response["Error"]["Message"]
        if reason == "No updates are to be performed.":
            return
        raise DeployError(f"CloudFormation: {reason}") from error
    try:
        waiter.wait(StackName=STACK_NAME, WaiterConfig=_WAITER)
    except WaiterError as error:
        events = cloudformation.describe_stack_events(StackName=STACK_NAME)["StackEvents"]
        reasons = [
            f"{event.get('LogicalResourceId')}: {event.get('ResourceStatusReason')}"
            for event in reversed(events)
            if event.get("ResourceStatus", "").endswith("_FAILED")
        ]
        raise DeployError("CloudFormation: " + ("; ".join(reasons) or str(error))) from error


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
