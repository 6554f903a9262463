"""What is checked before a deployment, so that it fails here and not halfway through an update."""

from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.exceptions import ClientError

# What the other functions need at once; a new account has ten in all.
_OTHER_FUNCTIONS = 5
# Statuses of a stack that can be updated, but for those that say so by their ending.
_NO_STACK = {"REVIEW_IN_PROGRESS", "DELETE_COMPLETE"}
_ADVICE = {
    "ROLLBACK_COMPLETE": "its first deployment failed; `make delete STAGE={stage}` removes what is left",
    "ROLLBACK_FAILED": "its first deployment failed, and so did its rollback",
    "UPDATE_ROLLBACK_FAILED": "an update failed, and so did its rollback",
    "DELETE_FAILED": "its deletion failed",
}
_PAGE = "docs/deployment.md#what-goes-wrong"
_DENIED = {"AccessDenied", "AuthorizationError"}
# The name that SAM gives to the API's only stage.
_API_STAGE = "$default"
_AWS_TOPIC_KEY = "alias/aws/sns"


@dataclass(frozen=True, slots=True)
class Plan:
    """A deployment: the stage, its stack, the parameters that `sam deploy` gets, and the build's architecture."""

    stage: str
    stack: str
    parameters: Mapping[str, str]
    architecture: str


@dataclass(frozen=True, slots=True)
class StackState:
    """What CloudFormation knows of a stack; no status if it does not exist."""

    status: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)


class Account:
    """The account that is deployed to; `connect` returns a client of a service, of AWS by default."""

    def __init__(self, connect: Callable[[str], Any] | None = None) -> None:
        of_aws: Any = boto3.client
        self.client: Callable[[str], Any] = connect or of_aws

    def stack(self, name: str) -> StackState:
        """Return the state of a stack."""
        try:
            (found,) = self.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
        except ClientError as error:
            if "does not exist" in error.response["Error"]["Message"]:
                return StackState()
            raise
        if found["StackStatus"] in _NO_STACK:
            return StackState()
        parameters = {each["ParameterKey"]: each["ParameterValue"] for each in found.get("Parameters", [])}
        outputs = {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", [])}
        return StackState(found["StackStatus"], parameters, outputs)

    def concurrency(self) -> int:
        """Return how many functions may run at once and are not reserved."""
        limits = self.client("lambda").get_account_settings()["AccountLimit"]
        return int(limits["UnreservedConcurrentExecutions"])

    def topic_key(self, arn: str) -> str:
        """Return the KMS key of a topic; empty for a topic without one."""
        return str(self.client("sns").get_topic_attributes(TopicArn=arn)["Attributes"].get("KmsMasterKeyId", ""))

    def route_settings(self, stack: str) -> tuple[str, set[str]]:
        """Return the id of a stack's API, and the routes that have settings of their own."""
        found = self.client("cloudformation").describe_stack_resource(StackName=stack, LogicalResourceId="Api")
        api = str(found["StackResourceDetail"]["PhysicalResourceId"])
        stage = self.client("apigatewayv2").get_stage(ApiId=api, StageName=_API_STAGE)
        return api, set(stage.get("RouteSettings", {}))


def problems(plan: Plan, state: StackState, account: Account, effective: Mapping[str, str]) -> Iterator[str]:
    """Yield why a deployment would fail or harm; `effective` are the values that all parameters will have."""
    yield from _stage_problems(plan, state)
    if plan.parameters["Architecture"] != plan.architecture:
        asked = plan.parameters["Architecture"]
        yield f"Architecture is {asked}, the build is for {plan.architecture}: run `make build ARCHITECTURE={asked}`"
    free, wanted = account.concurrency(), int(effective["ProcessConcurrency"])
    if wanted + _OTHER_FUNCTIONS > free:
        yield (
            f"ProcessConcurrency is {wanted}, and the account may run {free} functions at once: leave "
            f"{_OTHER_FUNCTIONS} to the others, or ask AWS for a higher quota (Lambda, concurrent executions)"
        )
    if topic := effective.get("AlarmTopicArn"):
        yield from _topic_problems(topic, account)


def _stage_problems(plan: Plan, state: StackState) -> Iterator[str]:
    if plan.parameters.get("Stage") != plan.stage:
        yield f"Stage is {plan.parameters.get('Stage')} in samconfig.toml, and the stage to deploy is {plan.stage}"
    if not plan.stack.endswith(f"-{plan.stage}"):
        yield f"stack {plan.stack} is not one of the stage {plan.stage}: its name must end with -{plan.stage}"
    deployed = state.parameters.get("Stage", plan.stage) if state.status else plan.stage
    if deployed != plan.stage:
        yield f"stack {plan.stack} is the stage {deployed}; an update must not make another stage of it"
    if state.status in _ADVICE:
        yield f"stack {plan.stack} is {state.status}: {_ADVICE[state.status].format(stage=plan.stage)} ({_PAGE})"
    elif state.status.endswith("_IN_PROGRESS"):
        yield f"stack {plan.stack} is {state.status}: another operation runs; wait until it has ended"


def _topic_problems(topic: str, account: Account) -> Iterator[str]:
    try:
        key = account.topic_key(topic)
    except ClientError as error:
        # Whoever deploys may not be allowed to read a topic of another account.
        if error.response["Error"]["Code"] not in _DENIED:
            yield f"AlarmTopicArn: {error}"
        return
    if key.endswith(_AWS_TOPIC_KEY):
        yield (
            f"AlarmTopicArn: {topic} is encrypted with {_AWS_TOPIC_KEY}, with which no alarm can send to it; "
            "use a key of your own that allows cloudwatch.amazonaws.com, or none"
        )


def route_problems(stack: str, routes: Set[str], account: Account) -> Iterator[str]:
    """Yield which settings must go first if an update leaves an existing stack's API only some `routes`.

    API Gateway keeps the settings of a route that is removed, and then refuses every update of the API's stage.
    """
    api, with_settings = account.route_settings(stack)
    for route in sorted(with_settings - routes):
        yield (
            f"the update removes the route {route}, whose settings API Gateway would keep; remove them first: "
            f"aws apigatewayv2 delete-route-settings --api-id {api} --stage-name '{_API_STAGE}' --route-key '{route}'"
        )
