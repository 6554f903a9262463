"""The permissions of each function: only what it needs, on resources of its own stack."""

import re
from collections.abc import Iterator
from datetime import date
from itertools import product
from typing import Any, NamedTuple

import pytest

from retail_pulse.domain.chunks import ChunkKey
from retail_pulse.domain.visits import VisitRow
from retail_pulse.storage import api_key_items, items, usage_items
from tests.infra import sam


class Grant(NamedTuple):
    """One action on one resource; for the table also the kind of partition keys that it is limited to."""

    action: str
    resource: str
    keys: str = ""


def on_items(kind: str, *actions: str) -> set[Grant]:
    """Return grants of actions on one kind of items."""
    return {Grant(f"dynamodb:{action}", "JobsTable", f"{kind}#*") for action in actions}


SEND_POINTERS = {Grant("sqs:SendMessage", "ChunkQueue")}

EXPECTED = {
    "AuthorizeFunction": on_items("KEY", "GetItem"),
    "SubmitFunction": SEND_POINTERS
    | on_items("CHUNK", "BatchWriteItem")
    | on_items("JOB", "GetItem", "PutItem", "UpdateItem")
    | on_items("IDEMPOTENCY", "PutItem", "UpdateItem")
    | on_items("USAGE", "UpdateItem"),
    "ReprocessFunction": SEND_POINTERS
    | {Grant("dynamodb:Query", "JobsTable/index/by_due"), Grant("sqs:GetQueueAttributes", "ChunkQueue")}
    | on_items("JOB", "GetItem", "UpdateItem"),
    "ProcessFunction": SEND_POINTERS
    | {Grant("sqs:ChangeMessageVisibility", "ChunkQueue")}
    | on_items("CHUNK", "BatchGetItem", "UpdateItem")
    | on_items("JOB", "UpdateItem")
    | on_items("CLIENT", "BatchWriteItem"),
    "StatusFunction": {Grant("dynamodb:Query", "JobsTable/index/by_client")}
    | on_items("JOB", "BatchGetItem", "GetItem")
    | on_items("CHUNK", "BatchGetItem")
    | on_items("CLIENT", "Query")
    | on_items("USAGE", "Query", "UpdateItem"),
    "ConsoleFunction": set(),
}

# Managed policies that SAM attaches, with the resource "*": for logs and traces, and to receive and delete messages.
ATTACHED_BY_SAM = {"AWSLambdaBasicExecutionRole", "AWSXrayWriteOnlyAccess"}
ATTACHED_FOR_THE_QUEUE = {"AWSLambdaSQSQueueExecutionRole"}

KEY_CONDITION = "ForAllValues:StringLike"


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def statements(*roles: sam.Body) -> list[sam.Body]:
    policies = [policy["PolicyDocument"] for role in roles for policy in role.get("Policies", [])]
    return [statement for policy in policies for statement in policy["Statement"]]


def grants(role: sam.Body) -> Iterator[Grant]:
    for statement in statements(role):
        keys = statement.get("Condition", {}).get(KEY_CONDITION, {}).get("dynamodb:LeadingKeys", [""])
        for action, resource, key in product(as_list(statement["Action"]), as_list(statement["Resource"]), keys):
            yield Grant(action, owner(resource), key)


def owner(arn: Any) -> str:
    """Return the resource of an ARN; a name, as ``Ref`` returns it, is not a resource for IAM."""
    if "Fn::Sub" in arn:
        index = re.fullmatch(r"\$\{(\w+)\.Arn\}(/index/\w+)", arn["Fn::Sub"])
        assert index, arn
        return index[1] + index[2]
    assert sam.attribute(arn) == "Arn", arn
    return sam.logical_id(arn)


@pytest.fixture
def roles(transformed: sam.Body) -> dict[str, sam.Body]:
    """The functions' roles by the functions' logical ids."""
    functions = sam.of_type(transformed, "AWS::Lambda::Function")
    found = sam.of_type(transformed, sam.ROLE)
    return {name: found[sam.logical_id(function["Role"])] for name, function in functions.items()}


def test_every_function_has_its_own_role(transformed: sam.Body, roles: dict[str, sam.Body]) -> None:
    # The schedule has one too, to invoke its function.
    its_role = sam.logical_id(sam.only(transformed, "AWS::Scheduler::Schedule")["Target"]["RoleArn"])
    assert set(sam.of_type(transformed, sam.ROLE)) == {f"{name}Role" for name in roles} | {its_role}


def test_every_function_may_do_only_what_it_needs(roles: dict[str, sam.Body]) -> None:
    assert {name: set(grants(role)) for name, role in roles.items()} == EXPECTED


def test_no_grant_is_written_twice(roles: dict[str, sam.Body]) -> None:
    for name, role in roles.items():
        assert len(list(grants(role))) == len(set(grants(role))), name


def test_statements_allow_and_have_no_other_parts(roles: dict[str, sam.Body]) -> None:
    for statement in statements(*roles.values()):
        assert statement["Effect"] == "Allow"
        assert statement.keys() <= {"Sid", "Effect", "Action", "Resource", "Condition"}


def test_the_template_writes_no_wildcard_in_an_action_or_a_resource(roles: dict[str, sam.Body]) -> None:
    for statement in statements(*roles.values()):
        for path, value in sam.leaves({part: statement[part] for part in ("Action", "Resource")}):
            assert not re.search(r"[*?]", str(value)), (path, value)


def test_managed_policies_are_those_that_sam_attaches(roles: dict[str, sam.Body]) -> None:
    for name, role in roles.items():
        attached = {arn.rpartition("/")[2] for arn in role["ManagedPolicyArns"]} - ATTACHED_BY_SAM
        assert attached == (ATTACHED_FOR_THE_QUEUE if name == "ProcessFunction" else set()), name


def test_every_access_to_the_table_is_limited_to_kinds_of_items(roles: dict[str, sam.Body]) -> None:
    for name, role in roles.items():
        assert [grant for grant in grants(role) if grant.resource == "JobsTable" and not grant.keys] == [], name


def test_a_request_without_a_key_is_not_allowed(roles: dict[str, sam.Body]) -> None:
    # `ForAllValues` also holds for a request that does not have the key of the condition.
    conditions = [found for each in statements(*roles.values()) if (found := each.get("Condition"))]
    assert len(conditions) == 13
    for condition in conditions:
        assert set(condition) == {KEY_CONDITION, "Null"}
        assert condition["Null"] == {"dynamodb:LeadingKeys": "false"}


def test_the_kinds_of_items_are_those_of_the_table(roles: dict[str, sam.Body]) -> None:
    kinds = {grant.keys for role in roles.values() for grant in grants(role) if grant.keys}
    keys = (
        items.job_key("client", 1),
        items.chunk_key(ChunkKey("nonce", 1)),
        api_key_items.api_key_key("hash"),
        items.claim_key("client", "name"),
        items.visit_row_key(VisitRow("client", 1, 0, 1, 1, "S00339218", "yesterday", 420, 1)),
        usage_items.usage_key("client", date(2026, 11, 23)),
    )
    assert kinds == {f"{key['pk']['S'].partition('#')[0]}#*" for key in keys}
