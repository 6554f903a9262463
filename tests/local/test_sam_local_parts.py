"""The parts of `make sam-local` that need no Docker; tests/sam tests the whole."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from local.checkout import ARCHITECTURE, ROOT, TEMPLATE
from local.images.server import ImageServer
from local.lambda_host.events import Event
from local.lambda_host.poller import InvocationError, QueuePoller
from local.sam import build, needs
from local.sam.environment import environment
from local.sam.host import NAME, relay
from local.sam.stage import SamLocalStage
from local.stack.serve import PortError
from tests.support.commands import running
from tests.support.waiting import wait_until
from tools import deploy

QUEUE_URL = "http://127.0.0.1:1/000000000000/chunks"
QUEUE_ARN = "arn:aws:sqs:us-east-1:000000000000:chunks"


class FakeQueue:
    """A queue of two messages that records what is deleted."""

    def __init__(self) -> None:
        self.deleted: list[str] = []

    def receive_message(self, **_: Any) -> dict[str, Any]:
        return {
            "Messages": [
                {"MessageId": name, "ReceiptHandle": f"handle-{name}", "Body": "{}", "MD5OfBody": "0", "Attributes": {}}
                for name in "ab"
            ]
        }

    def delete_message_batch(self, Entries: list[dict[str, str]], **_: Any) -> None:
        self.deleted += [entry["ReceiptHandle"] for entry in Entries]


def put_program(folder: Path, name: str, script: str) -> None:
    """Write a program that is found on PATH in place of the real one."""
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_all_missing_programs_are_named_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(needs.MissingError) as caught:
        needs.check()
    text = str(caught.value)
    assert "\n" not in text
    assert all(name in text for name in ("SAM CLI", "python3.13", "make", "Docker"))


def test_a_python_that_cannot_run_counts_as_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    put_program(tmp_path, "python3.13", "exit 127")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(needs.MissingError, match=r"python3\.13"):
        needs.check()


@pytest.fixture
def settings_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set variables that a developer's machine may have; any of them would lead to other resources."""
    for name in ("PROFILE", "SESSION_TOKEN", "CONFIG_FILE", "REGION", "ENDPOINT_URL", "ENDPOINT_URL_DYNAMODB"):
        monkeypatch.setenv(f"AWS_{name}", "of-the-host")
    monkeypatch.setenv("PYTHONPATH", "of-the-host")
    monkeypatch.setenv("VIRTUAL_ENV", "of-the-host")


@pytest.mark.usefixtures("settings_of_the_host")
def test_no_setting_of_the_host_reaches_sam(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///kept")

    variables = environment("http://127.0.0.1:1")

    assert [name for name, value in variables.items() if value == "of-the-host"] == []
    assert variables["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1"
    assert variables["AWS_DEFAULT_REGION"] == "us-east-1"
    # SAM still gets what it needs from the host.
    assert variables["DOCKER_HOST"] == "unix:///kept"
    assert "PATH" in variables
    assert "AWS_ENDPOINT_URL" not in environment()


@pytest.mark.usefixtures("settings_of_the_host")
def test_no_setting_of_the_host_reaches_a_build(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    put_program(tmp_path, "sam", f"env >'{tmp_path}/variables'")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")

    build.build()

    assert "of-the-host" not in (tmp_path / "variables").read_text()


def test_the_build_is_not_where_a_deployment_looks_for_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    put_program(tmp_path, "sam", f"echo \"$@\" >'{tmp_path}/arguments'")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")

    build.build()

    words = (tmp_path / "arguments").read_text().split()
    folder = Path(words[words.index("--build-dir") + 1])
    assert folder == build.FOLDER
    # SAM also writes build.toml next to it.
    assert deploy.BUILD.parent not in {folder, folder.parent, *folder.parents}
    assert folder.parent != ROOT


def test_the_authorizer_is_named_by_its_arn_for_sam_local(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "template.yaml").write_bytes(TEMPLATE.read_bytes())
    monkeypatch.setattr(build, "FOLDER", tmp_path)

    copy = json.loads(build.write_template().read_text())

    authorizer = copy["Resources"]["Api"]["Properties"]["Auth"]["Authorizers"]["ApiKey"]
    assert authorizer["FunctionArn"] == {"Fn::GetAtt": ["AuthorizeFunction", "Arn"]}


@pytest.mark.usefixtures("settings_of_the_host")
def test_no_setting_of_the_host_reaches_the_clients_of_the_stack() -> None:
    # In a separate process: this one may have created clients before those settings.
    script = "from local.emulator.clients import client; made = client('sqs', 'http://127.0.0.1:1').meta; "
    script += "print(made.region_name, made.endpoint_url)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("us-east-1 http://127.0.0.1:1\n", "")


@contextmanager
def command(folder: Path, port: int, sam: str) -> Iterator["subprocess.Popen[str]"]:
    """Run `python -m local.sam` in its own session, with stand-ins for the programs that it needs."""
    for name in ("docker", "python3.13"):
        put_program(folder, name, "exit 0")
    put_program(folder, "sam", sam)
    with running("local.sam", "--port", str(port), PATH=f"{folder}:/bin:/usr/bin") as process:
        yield process


def test_a_port_in_use_is_reported_in_one_line_and_nothing_is_built(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with command(tmp_path, port, "exit 0") as process:
            output, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert output.startswith(f"local.sam: port {port} is in use")
    assert len(output.splitlines()) == 1


def test_a_stage_does_not_mistake_another_program_for_sam() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        stage = SamLocalStage(port=taken.getsockname()[1])
        with pytest.raises(PortError, match="in use"), stage:
            pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_running_build_and_is_not_an_error(tmp_path: Path, number: signal.Signals) -> None:
    building = tmp_path / "building"
    # `sam build` starts other programs; here, one that runs on without it.
    script = f"""[ "$1" != build ] || {{ sleep 60 & touch '{building}'; wait; }}"""
    with command(tmp_path, 0, script) as process:
        wait_until(building.exists, 30)
        process.send_signal(number)
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert output.splitlines() == [f"Building for {ARCHITECTURE} (sam build)"]


def test_a_failed_build_is_reported_with_its_output(tmp_path: Path) -> None:
    with command(tmp_path, 0, """[ "$1" != build ] || { echo no such wheel; exit 1; }""") as process:
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert output.endswith("local.sam: sam build failed:\nno such wheel\n\n")


def test_the_poller_deletes_the_messages_that_process_does_not_report() -> None:
    queue = FakeQueue()
    events = []

    def invoke(event: Event) -> dict[str, Any]:
        events.append([(record["messageId"], record["eventSourceARN"]) for record in event["Records"]])
        return {"batchItemFailures": [{"itemIdentifier": "a"}]}

    assert QueuePoller(queue, QUEUE_URL, invoke).poll() == 2
    assert events == [[("a", QUEUE_ARN), ("b", QUEUE_ARN)]]
    assert queue.deleted == ["handle-b"]


def test_the_poller_deletes_nothing_when_process_fails() -> None:
    queue = FakeQueue()
    # `sam local` returns 200 with this body where AWS would report a failed function.
    with pytest.raises(InvocationError, match="Boom"):
        QueuePoller(queue, QUEUE_URL, lambda _: {"errorMessage": "Boom", "errorType": "Boom"}).poll()
    assert queue.deleted == []


def test_a_relay_forwards_requests_on_the_same_port() -> None:
    with ImageServer() as server:
        server.add("/a", b"hello")
        # 127.0.0.2 represents the bridge: an address of this machine on which the server does not listen.
        with relay(server.port, "127.0.0.2"), socket.create_connection(("127.0.0.2", server.port)) as connection:
            connection.sendall(b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            answer = b""
            while block := connection.recv(4096):
                answer += block
    assert answer.endswith(b"\r\n\r\nhello")


def test_a_relay_without_such_an_address_does_nothing() -> None:
    # An address for documentation (RFC 5737), which no machine has.
    with relay(1, "192.0.2.1") as url:
        assert url == f"http://{NAME}:1"


def test_a_relay_whose_port_is_in_use_is_an_error() -> None:
    with socket.create_server(("127.0.0.2", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"), relay(port, "127.0.0.2"):
            pass


def test_each_function_gets_the_variables_that_the_template_declares_for_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
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
