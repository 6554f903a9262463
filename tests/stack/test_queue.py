"""The emulated queue: visibility of single messages, fair delivery, and what a role may change."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local.stack.process import StackProcess

ALL: list[Any] = ["All"]


@pytest.fixture(scope="module")
def sqs(stack: StackProcess) -> Any:
    return stack.client("sqs")


@pytest.fixture
def queue(sqs: Any) -> Iterator[str]:
    url: str = sqs.create_queue(QueueName="visibility", Attributes={"VisibilityTimeout": "600"})["QueueUrl"]
    yield url
    sqs.delete_queue(QueueUrl=url)


def send(sqs: Any, queue: str, *bodies: str, group: str) -> None:
    for body in bodies:
        sqs.send_message(QueueUrl=queue, MessageBody=body, MessageGroupId=group)


def receive(sqs: Any, queue: str, number: int = 10, *, wait_seconds: int = 0) -> dict[str, Any]:
    answer = sqs.receive_message(
        QueueUrl=queue, MaxNumberOfMessages=number, WaitTimeSeconds=wait_seconds, MessageSystemAttributeNames=ALL
    )
    return {message["Body"]: message for message in answer.get("Messages", [])}


def change(sqs: Any, queue: str, seconds: dict[str, int]) -> dict[str, Any]:
    """Change the visibility of messages by their receipt handles; return the answer."""
    entries = [
        {"Id": str(number), "ReceiptHandle": handle, "VisibilityTimeout": value}
        for number, (handle, value) in enumerate(seconds.items())
    ]
    answer: dict[str, Any] = sqs.change_message_visibility_batch(QueueUrl=queue, Entries=entries)
    return answer


def test_the_visibility_of_single_messages_is_changed_and_the_others_stay_hidden(sqs: Any, queue: str) -> None:
    send(sqs, queue, "at once", "soon", "later", group="a")
    first = receive(sqs, queue)
    handle = {body: message["ReceiptHandle"] for body, message in first.items()}

    answer = change(sqs, queue, {handle["at once"]: 0, handle["soon"]: 1, "unknown": 1})

    assert [each["Id"] for each in answer["Successful"]] == ["0", "1"]
    assert [each["Code"] for each in answer["Failed"]] == ["ReceiptHandleIsInvalid"]
    # On a busy machine, a second has already passed.
    again = receive(sqs, queue)
    assert "at once" in again
    if "soon" not in again:
        again |= receive(sqs, queue, wait_seconds=20)
    counts = {body: message["Attributes"]["ApproximateReceiveCount"] for body, message in again.items()}
    assert counts == {"at once": "2", "soon": "2"}
    assert receive(sqs, queue) == {}


def test_a_message_of_a_quiet_group_overtakes_a_backlog(sqs: Any, queue: str) -> None:
    send(sqs, queue, *(f"busy {number}" for number in range(12)), group="busy")
    receive(sqs, queue, 2)
    send(sqs, queue, "quiet", group="quiet")

    assert list(receive(sqs, queue, 3)) == ["quiet", "busy 2", "busy 3"]


@pytest.fixture
def role(stack: StackProcess) -> Iterator[str]:
    """A role that may do anything with queues."""
    iam = stack.client("iam")
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}}
    allow = {"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}
    made = iam.create_role(RoleName="worker", AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))
    iam.put_role_policy(RoleName="worker", PolicyName="queues", PolicyDocument=json.dumps({"Statement": [allow]}))
    yield made["Role"]["Arn"]
    iam.delete_role_policy(RoleName="worker", PolicyName="queues")
    iam.delete_role(RoleName="worker")


def assume(stack: StackProcess, role: str, *actions: str) -> Any:
    """Return a client with a role's credentials, which this stack has given out, limited to some actions."""
    limits = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    found = stack.client("sts").assume_role(
        RoleArn=role, RoleSessionName="test", Policy=json.dumps({"Version": "2012-10-17", "Statement": [limits]})
    )["Credentials"]
    session = boto3.Session(
        found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"], region_name=stack.region
    )
    return session.client("sqs", endpoint_url=stack.endpoint_url)


def test_a_batch_of_changes_needs_the_permission_for_one_change(
    stack: StackProcess, sqs: Any, queue: str, role: str
) -> None:
    send(sqs, queue, "m", group="a")
    handle = receive(sqs, queue)["m"]["ReceiptHandle"]

    changed = change(assume(stack, role, "sqs:ChangeMessageVisibility"), queue, {handle: 0})
    with pytest.raises(ClientError, match="not authorized to perform: sqs:ChangeMessageVisibility because"):
        change(assume(stack, role, "sqs:SendMessage", "sqs:ReceiveMessage"), queue, {handle: 0})

    assert len(changed["Successful"]) == 1
