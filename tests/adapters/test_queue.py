"""The queue: messages as pointers, batches, refusals."""

import string
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
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
              st.sampled_from(Scope), st.none() | st.integers(0, 99), st.integers(0, 9999))
)  # fmt: skip
def test_a_pointer_is_read_as_it_was_written(pointer: Pointer) -> None:
    assert decode(encode(pointer)) == pointer


def test_a_message_of_an_earlier_version_does_not_say_how_many_chunks_there_are() -> None:
    body = '{"client":"me","job_id":123,"nonce":"n","chunk":0,"run":1,"scope":"all","turn":0}'
    assert decode(body) == Pointer("me", 123, "n", 0, 1, Scope.ALL, 0, chunks=0)


@pytest.mark.parametrize(
    "body", ["", "{", "[]", "7", "null", "{}", '{"client":"a"}', encode(POINTERS[0])[:-5] + '"x"}']
)
def test_a_message_that_is_not_a_pointer_is_refused(body: str) -> None:
    with pytest.raises(InvalidPointerError):
        decode(body)


@pytest.fixture
def queue() -> Iterator[PointerQueue]:
    with mock_aws():
        sqs = boto3.client("sqs")
        yield PointerQueue(sqs, sqs.create_queue(QueueName="chunks")["QueueUrl"])


def received() -> list[Any]:
    """Receive up to ten messages."""
    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName="chunks")["QueueUrl"]
    return sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["MessageGroupId"]
    ).get("Messages", [])


def test_every_pointer_is_sent_in_batches_of_ten(queue: PointerQueue) -> None:
    queue.send(POINTERS)
    pointers = [decode(message["Body"]) for _ in range(3) for message in received()]
    assert sorted(pointers, key=lambda pointer: pointer.chunk) == POINTERS


def test_messages_are_grouped_by_client_so_that_no_backlog_delays_another(queue: PointerQueue) -> None:
    theirs = [pointer._replace(client="a" * 63) for pointer in POINTERS]
    queue.send(POINTERS[:3] + theirs[:3])
    queue.send(theirs[3:4], delay_seconds=0)
    found = received()
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


def test_only_a_refused_message_is_sent_once_more() -> None:
    client = Mock()
    client.send_message_batch.side_effect = [{"Failed": [{"Id": "0"}]}, {"Failed": []}]
    PointerQueue(client, "url").send(POINTERS[:3])
    batches = [call.kwargs["Entries"] for call in client.send_message_batch.call_args_list]
    assert [[decode(entry["MessageBody"]).chunk for entry in batch] for batch in batches] == [[0, 1, 2], [0]]


def test_messages_that_were_not_accepted_are_an_error_that_counts_them() -> None:
    client = Mock()
    client.send_message_batch.return_value = {"Failed": [{"Id": "0"}]}
    with pytest.raises(StorageUnavailableError, match="2 of 3"):
        PointerQueue(client, "url").send(POINTERS[:3])


def test_a_queue_that_hangs_gets_no_batch_after_the_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 1000, 5))
    monkeypatch.setattr("retail_pulse.storage.queue.time", Mock(monotonic=lambda: next(clock)))
    client = Mock()
    client.send_message_batch.side_effect = EndpointConnectionError(endpoint_url="url")
    with pytest.raises(StorageUnavailableError, match="0 of 23"):
        PointerQueue(client, "url").send(POINTERS)
    assert client.send_message_batch.call_count == 1


def test_a_message_may_be_hidden_for_a_while_and_is_counted_meanwhile(queue: PointerQueue) -> None:
    queue.send(POINTERS[:2])
    queue.send(POINTERS[2:3], delay_seconds=900)
    assert sorted(decode(message["Body"]).chunk for message in received()) == [0, 1]
    # One is delayed and two are in flight: all of them are still to be processed.
    assert queue.backlog() == 3


def seconds_hidden(queue: PointerQueue) -> Mock:
    """Replace SQS for `hide`; moto hides messages, but does not say for how long."""
    client = Mock()
    client.change_message_visibility_batch.return_value = {"Successful": [], "Failed": []}
    queue._client = client
    return client


def test_messages_are_hidden_in_batches_of_ten(queue: PointerQueue) -> None:
    client = seconds_hidden(queue)
    queue.hide({f"handle-{number}": number for number in range(23)})
    sent = [call.kwargs["Entries"] for call in client.change_message_visibility_batch.mock_calls]
    assert [len(entries) for entries in sent] == [10, 10, 3]
    assert {entry["ReceiptHandle"]: entry["VisibilityTimeout"] for entries in sent for entry in entries} == {
        f"handle-{number}": number for number in range(23)
    }


def test_a_message_that_is_hidden_for_no_time_is_received_again_at_once(queue: PointerQueue) -> None:
    queue.send(POINTERS[:1])
    (message,) = received()
    assert received() == []
    queue.hide({message["ReceiptHandle"]: 0})
    assert [each["Body"] for each in received()] == [message["Body"]]


def test_a_refusal_to_hide_messages_fails_nothing(queue: PointerQueue, caplog: pytest.LogCaptureFixture) -> None:
    queue.hide({"no such handle": 10})
    client = seconds_hidden(queue)
    client.change_message_visibility_batch.return_value = {"Failed": [{"Id": "0", "Code": "ReceiptHandleIsInvalid"}]}
    queue.hide({"handle": 10})
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "handle" not in caplog.messages[0]


def test_no_message_is_no_request(queue: PointerQueue) -> None:
    client = seconds_hidden(queue)
    queue.hide({})
    assert not client.mock_calls
