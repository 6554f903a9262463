"""The stack enforces the functions' policies: what they do not allow is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from local.checkout import ROOT
from local.client import ApiClient, submission
from local.emulator.permissions import leading_keys
from local.emulator.template import Template
from local.stack.process import StackProcess

A, B = {"pk": {"S": "A"}, "sk": {"S": "x"}}, {"pk": {"S": "B"}, "sk": {"S": "y"}}
BOTH = {"A", "B"}


def query(condition: str, values: dict[str, Any], **arguments: Any) -> dict[str, Any]:
    asked = {"TableName": "t", "KeyConditionExpression": condition, "ExpressionAttributeValues": values}
    return asked | arguments


def partition_key(_: str, index: str | None) -> str:
    return {None: "pk", "by_client": "client"}[index]


@pytest.mark.parametrize(
    ("request_body", "keys"),
    [
        ({"TableName": "t", "Key": A}, {"A"}),
        ({"TableName": "t", "Item": A | {"Key": {"M": {"pk": {"S": "no"}}}}}, {"A"}),
        ({"RequestItems": {"t": {"Keys": [A, B]}}}, BOTH),
        ({"RequestItems": {"t": [{"PutRequest": {"Item": A}}, {"DeleteRequest": {"Key": B}}]}}, BOTH),
        ({"TransactItems": [{"Put": {"TableName": "t", "Item": A}}, {"Update": {"TableName": "t", "Key": B}}]}, BOTH),
        ({"TableName": "t"}, set()),
        (query("#k = :a AND sk = :b", {":a": A["pk"], ":b": B["pk"]}, ExpressionAttributeNames={"#k": "pk"}), {"A"}),
        (query("client=:c AND job_id < :n", {":c": {"S": "me"}, ":n": {"N": "5"}}, IndexName="by_client"), {"me"}),
    ],
)
def test_leading_keys_are_the_partition_keys_of_a_request(request_body: dict[str, Any], keys: set[str]) -> None:
    assert leading_keys(request_body, partition_key) == keys


def test_a_permission_missing_in_the_template_is_missing_on_the_stack_too(tmp_path: Path) -> None:
    # GIVEN a template whose status function may not read jobs, and whose submit function may not write chunks
    for name in ("functions", "layers", "store_master.csv"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "infra").mkdir()
    template = Template().body
    for statement in _statements(template, "StatusFunction", "dynamodb:GetItem"):
        statement["Action"] = "dynamodb:DeleteItem"
    for statement in _statements(template, "SubmitFunction", "dynamodb:BatchWriteItem"):
        statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"] = ["NONE#*"]
    (tmp_path / "infra" / "template.yaml").write_text(json.dumps(template), encoding="utf-8")

    with StackProcess(root=tmp_path) as stack, ApiClient(stack.url, stack.api_key) as client:
        # WHEN they are called
        read = client.get("/api/jobs/1")
        written = client.post("/api/submit", submission(("S00339218", ["http://127.0.0.1/a.jpg"])))
        log = stack.log.read_text(encoding="utf-8")

    # THEN the calls fail as on AWS
    assert (read.status_code, written.status_code) == (503, 503), json.dumps([read.text, written.text])
    assert "is not authorized to perform dynamodb:GetItem on arn:aws:dynamodb:" in log
    assert "is not authorized to perform dynamodb:BatchWriteItem on arn:aws:dynamodb:" in log


def _statements(template: dict[str, Any], function: str, action: str) -> list[dict[str, Any]]:
    """Return the statements of a function's policies that allow an action."""
    policies = template["Resources"][function]["Properties"]["Policies"]
    found = [statement for policy in policies for statement in policy["Statement"] if action in statement["Action"]]
    assert found
    return found
