"""What `make sam-local` is made of, as far as it needs no Docker; tests/sam_local has the whole."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from local.image_server import ImageServer
from local.sam import build, needs
from local.sam.events import InvocationError, QueuePoller
from local.sam.host import Relay


class FakeQueue:
    """A queue of two messages that remembers what was deleted."""

    def __init__(self) -> None:
        self.deleted: list[str] = []

    def get_queue_attributes(self, **_: Any) -> dict[str, Any]:
        return {"Attributes": {"QueueArn": "arn:aws:sqs:us-east-1:000000000000:chunks"}}

    def receive_message(self, **_: Any) -> dict[str, Any]:
        return {
            "Messages": [
                {"MessageId": name, "ReceiptHandle": f"handle-{name}", "Body": "{}", "MD5OfBody": "0"} for name in "ab"
            ]
        }

    def delete_message_batch(self, Entries: list[dict[str, str]], **_: Any) -> None:
        self.deleted += [entry["ReceiptHandle"] for entry in Entries]


def test_all_that_is_missing_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(needs.MissingError) as caught:
        needs.check()
    text = str(caught.value)
    assert "\n" not in text
    assert all(name in text for name in ("SAM CLI", "python3.13", "make", "Docker"))


def test_a_python_that_does_not_run_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shim = tmp_path / "python3.13"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(needs.MissingError, match=r"python3\.13"):
        needs.check()


def test_the_poller_deletes_what_process_has_not_refused() -> None:
    queue = FakeQueue()
    events = []

    def invoke(function: str, event: dict[str, Any]) -> dict[str, Any]:
        events.append((function, [record["messageId"] for record in event["Records"]]))
        return {"batchItemFailures": [{"itemIdentifier": "a"}]}

    assert QueuePoller(queue, "url", invoke).poll() == 2
    assert events == [("ProcessFunction", ["a", "b"])]
    assert queue.deleted == ["handle-b"]


def test_the_poller_deletes_nothing_when_process_has_failed() -> None:
    queue = FakeQueue()
    # `sam local` answers 200 with this where AWS would say that the function has failed.
    with pytest.raises(InvocationError, match="Boom"):
        QueuePoller(queue, "url", lambda *_: {"errorMessage": "Boom", "errorType": "Boom"}).poll()
    assert queue.deleted == []


def test_a_relay_passes_requests_on_under_the_same_port() -> None:
    with ImageServer() as server:
        server.add("/a", b"hello")
        # 127.0.0.2 stands for the bridge: an address of this machine on which the server does not listen.
        with Relay(server.port, "127.0.0.2"), socket.create_connection(("127.0.0.2", server.port)) as connection:
            connection.sendall(b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            answer = b""
            while block := connection.recv(4096):
                answer += block
    assert answer.endswith(b"\r\n\r\nhello")


def test_a_relay_that_has_no_such_address_does_nothing() -> None:
    # An address for documentation (RFC 5737): no machine has it.
    with Relay(1, "192.0.2.1") as relay:
        assert relay.url.endswith(":1")


def test_each_function_is_given_what_its_template_declares(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    resources = {
        name: {
            "Type": "AWS::Serverless::Function",
            "Properties": {"Environment": {"Variables": dict.fromkeys(variables, "")}},
        }
        for name, variables in {"One": ["TABLE_NAME", "OTHER"], "Two": ["TABLE_NAME", "QUEUE_URL"]}.items()
    }
    (tmp_path / "template.yaml").write_text(json.dumps({"Resources": resources}))
    monkeypatch.setattr(build, "FOLDER", tmp_path)

    file = tmp_path / "variables.json"
    build.write_variables(file, {"TABLE_NAME": "t", "QUEUE_URL": "q"}, "http://pc.localhost:1")
    copy = json.loads(build.write_template().read_text())

    assert json.loads(file.read_text()) == {
        "One": {"TABLE_NAME": "t", "AWS_ENDPOINT_URL": "http://pc.localhost:1"},
        "Two": {"TABLE_NAME": "t", "QUEUE_URL": "q", "AWS_ENDPOINT_URL": "http://pc.localhost:1"},
    }
    # `sam local` sets only what the template declares.
    for resource in copy["Resources"].values():
        assert "AWS_ENDPOINT_URL" in resource["Properties"]["Environment"]["Variables"]
