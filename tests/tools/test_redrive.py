"""make redrive, on moto: what is shown, sent back and left."""

import argparse
import io
import json
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import boto3
import pytest
from botocore.exceptions import NoCredentialsError, NoRegionError
from moto import mock_aws

from retail_pulse.domain.chunks import Pointer, Scope
from retail_pulse.domain.errors import StorageUnavailableError
from retail_pulse.storage.queue import PointerQueue, decode, encode
from tools import redrive, stage

POINTER = Pointer("acme", 123, "nonce", 0, 1, Scope.ALL)


class Queues:
    """The queue of a stage, and its dead-letter queue."""

    def __init__(self) -> None:
        self.sqs = boto3.client("sqs")
        self.live, self.dead = (self.sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("live", "dead"))

    def bury(self, *bodies: str) -> None:
        for body in bodies:
            self.sqs.send_message(QueueUrl=self.dead, MessageBody=body)

    def bodies(self, url: str) -> list[str]:
        """Receive all that is visible."""
        found: list[Any] = []
        while messages := self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            found += messages
        return [message["Body"] for message in found]

    def chunks(self, url: str) -> list[int]:
        return sorted(decode(body).chunk for body in self.bodies(url))


@pytest.fixture
def queues(monkeypatch: pytest.MonkeyPatch) -> Iterator[Queues]:
    with mock_aws():
        made = Queues()

        def connect(options: argparse.Namespace, *needed: str) -> Any:
            assert (options.stack, needed) == ("mine", ("QueueUrl", "DeadLetterQueueUrl"))
            return boto3.client, {"QueueUrl": made.live, "DeadLetterQueueUrl": made.dead}

        monkeypatch.setattr(stage, "connect", connect)
        yield made


def answer(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


def letters(count: int, **changes: Any) -> list[str]:
    return [encode(POINTER._replace(chunk=number, **changes)) for number in range(count)]


def test_letters_are_shown_by_job_and_sent_back(queues: Queues, capsys: pytest.CaptureFixture[str]) -> None:
    queues.bury(*letters(12), *letters(1, client="beta", job_id=7))
    assert redrive.main(["--stack", "mine", "--yes"]) == 0
    header, *rows, end = capsys.readouterr().out.splitlines()
    assert header.split() == ["CLIENT", "JOB", "MESSAGES", "SINCE"]
    assert sorted(row.split()[:3] for row in rows) == [["acme", "123", "12"], ["beta", "7", "1"]]
    assert end == "messages sent back: 13"
    assert queues.chunks(queues.live) == [0, *range(12)]
    assert queues.bodies(queues.dead) == []


def test_what_is_not_a_pointer_is_shown_and_left(queues: Queues, capsys: pytest.CaptureFixture[str]) -> None:
    odd = json.dumps({"who": "someone\nelse", "text": "x" * 100})
    queues.bury(odd, *letters(1))
    assert redrive.main(["--stack", "mine", "--yes"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("not a pointer, stays: ")]
    assert line.endswith(odd[:60])
    assert queues.chunks(queues.live) == [0]
    # It is visible at once, for whoever looks next, and for the alarm.
    assert queues.bodies(queues.dead) == [odd]


@pytest.mark.parametrize(("typed", "sent"), [("y\n", 3), ("YES\n", 3), ("n\n", 0), ("\n", 0), ("", 0)])
def test_without_yes_a_person_decides(
    queues: Queues,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    typed: str,
    sent: int,
) -> None:
    queues.bury(*letters(3))
    answer(monkeypatch, typed)
    assert redrive.main(["--stack", "mine"]) == 0
    output = capsys.readouterr().out
    assert "Send 3 messages back to the queue? [y/N] " in output
    assert ("YES=1" in output) == (typed == "")
    assert len(queues.bodies(queues.live)) == sent
    assert len(queues.bodies(queues.dead)) == 3 - sent


def test_an_empty_queue_asks_nothing(queues: Queues, capsys: pytest.CaptureFixture[str]) -> None:
    assert redrive.main(["--stack", "mine"]) == 0
    assert capsys.readouterr().out == "no dead letter is visible\n"
    queues.bury("odd")
    assert redrive.main(["--stack", "mine"]) == 0
    assert "Send" not in capsys.readouterr().out


def test_what_the_queue_refuses_stays_a_dead_letter(
    queues: Queues, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: Any) -> None:
        raise StorageUnavailableError("SQS accepted 0 of 3 messages")

    queues.bury(*letters(3))
    monkeypatch.setattr(PointerQueue, "send", refuse)
    assert redrive.main(["--stack", "mine", "--yes"]) == 1
    assert capsys.readouterr().err == "not everything was sent back: SQS accepted 0 of 3 messages\n"
    assert queues.chunks(queues.dead) == [0, 1, 2]


def test_more_than_one_portion_is_left_for_the_next_time(queues: Queues, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redrive, "_MAX_MESSAGES", 20)
    queues.bury(*letters(25))
    assert redrive.main(["--stack", "mine", "--yes"]) == 0
    assert len(queues.bodies(queues.dead)) == 5


@pytest.mark.parametrize("error", [NoCredentialsError(), NoRegionError()])
def test_without_an_aws_account_the_local_stack_is_a_hint(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    monkeypatch.setattr(boto3, "client", Mock(side_effect=error))
    assert redrive.main([]) == 1
    assert "URL=http://127.0.0.1:8080 names the stack of `make serve`" in capsys.readouterr().err
