"""The queue: messages as pointers, batches, refusals."""

import json
import string
from dataclasses import replace
from typing import Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from retail_pulse.domain.api_keys import InvalidClientError, check_client
from retail_pulse.domain.chunks import Pointer, Scope
from retail_pulse.domain.errors import InvalidPointerError, StorageUnavailableError
from retail_pulse.storage.queue import PointerQueue, decode, encode

POINTERS = [Pointer("me", 123, "n", number, 1, Scope.ALL) for number in range(23)]


@given(
    st.builds(Pointer, st.text(), st.integers(0, 2**53), st.text(), st.integers(0, 9999), st.integers(1, 99),
              st.sampled_from(Scope), st.none() | st.integers(0, 99))
)  # fmt: skip
def test_a_pointer_is_read_as_it_was_written(pointer: Pointer) -> None:
    assert decode(encode(pointer)) == pointer


@pytest.mark.parametrize(
    "body", ["", "{", "[]", "7", "null", "{}", '{"client":"a"}', encode(POINTERS[0])[:-5] + '"x"}']
)
def test_a_message_that_is_not_a_pointer_is_refused(body: str) -> None:
    with pytest.raises(InvalidPointerError):
        decode(body)


def test_every_pointer_is_sent_in_batches_of_ten() -> None:
    with mock_aws():
        sqs = boto3.client("sqs")
        url = sqs.create_queue(QueueName="chunks")["QueueUrl"]
        PointerQueue(sqs, url).send(POINTERS)
        bodies = [
            message["Body"]
            for _ in range(3)
            for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        ]
    assert sorted((decode(body) for body in bodies), key=lambda pointer: pointer.chunk) == POINTERS


def test_messages_are_grouped_by_client_so_that_no_backlog_delays_another() -> None:
    theirs = [replace(pointer, client="a" * 63) for pointer in POINTERS]
    with mock_aws():
        sqs = boto3.client("sqs")
        url = sqs.create_queue(QueueName="chunks")["QueueUrl"]
        queue = PointerQueue(sqs, url)
        queue.send(POINTERS[:3] + theirs[:3])
        queue.send(theirs[3:4], delay_seconds=0)
        found = sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["MessageGroupId"]
        )["Messages"]
    assert len(found) == 7
    assert all(message["Attributes"] == {"MessageGroupId": decode(message["Body"]).client} for message in found)


def test_every_client_name_is_a_message_group() -> None:
    # SQS allows 128 of these: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
    allowed = set(string.ascii_letters + string.digits + string.punctuation)
    longest = check_client("a" * 63)
    assert len(longest) <= 128
    accepted = {character for character in map(chr, range(0x250)) if accepts(f"a{character}")}
    assert accepted <= allowed
    assert not accepts(longest + "a")


def accepts(client: str) -> bool:
    try:
        check_client(client)
    except InvalidClientError:
        return False
    return True


class Refusing:
    """A client that refuses some entries a few times."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.batches: list[list[int]] = []

    def send_message_batch(self, Entries: list[dict[str, Any]], **_: Any) -> dict[str, Any]:  # boto3's word
        self.batches.append([json.loads(entry["MessageBody"])["chunk"] for entry in Entries])
        self.times -= 1
        return {"Failed": [{"Id": Entries[0]["Id"]}] if self.times >= 0 else []}


def test_only_a_refused_message_is_sent_once_more() -> None:
    client: Any = Refusing(times=1)
    PointerQueue(client, "url").send(POINTERS[:3])
    assert client.batches == [[0, 1, 2], [0]]


def test_messages_that_were_not_accepted_are_an_error_that_counts_them() -> None:
    client: Any = Refusing(times=2)
    with pytest.raises(StorageUnavailableError, match="2 of 3"):
        PointerQueue(client, "url").send(POINTERS[:3])


def test_a_message_may_be_hidden_for_a_while_and_is_counted_meanwhile() -> None:
    with mock_aws():
        sqs = boto3.client("sqs")
        url = sqs.create_queue(QueueName="chunks")["QueueUrl"]
        queue = PointerQueue(sqs, url)
        queue.send(POINTERS[:2])
        queue.send(POINTERS[2:3], delay_seconds=900)
        found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
        assert sorted(decode(message["Body"]).chunk for message in found) == [0, 1]
        # One is delayed and two are in flight: all of them are still to be processed.
        assert queue.backlog() == 3
