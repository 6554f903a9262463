"""Another user of this machine reaches the stack's port, but has neither its secret nor an API key."""

import hashlib
import http.client
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
import requests
from botocore.exceptions import ClientError

from local.client import ApiClient
from local.stack.process import StackProcess
from local.stack.shell_file import find
from tests.support.memory import tree

JSON = "application/x-amz-json-1.0"
FORM = "application/x-www-form-urlencoded"
CODE = (
    b'{"FunctionName":"f","Runtime":"python3.13","Role":"arn:aws:iam::000000000000:role/r","Handler":"a.b","Code":{}}'
)


def target(name: str, body: bytes = b"{}") -> tuple[str, str, dict[str, str], bytes]:
    return "POST", "/", {"x-amz-target": name, "content-type": JSON}, body


def query(action: str) -> tuple[str, str, dict[str, str], bytes]:
    return "POST", "/", {"content-type": FORM}, f"Action={action}&Version=2010-05-15".encode()


# What an AWS SDK would send, by the service in the scope of its credentials.
REQUESTS: list[tuple[str, tuple[str, str, dict[str, str], bytes]]] = [
    ("lambda", ("GET", "/2015-03-31/functions", {}, b"")),
    ("lambda", ("GET", "/2015-03-31/functions/", {}, b"")),
    ("lambda", ("POST", "/2015-03-31/functions", {"content-type": "application/json"}, CODE)),
    ("lambda", ("POST", "/2015-03-31/functions/f/invocations", {}, b"{}")),
    ("dynamodb", target("DynamoDB_20120810.ListTables")),
    ("sqs", target("AmazonSQS.ListQueues")),
    ("sqs", query("ListQueues")),
    ("cloudformation", query("DescribeStacks")),
    ("iam", query("ListRoles")),
    ("sts", query("GetCallerIdentity")),
    ("s3", ("GET", "/", {}, b"")),
    ("s3", ("GET", "/retail-pulse-local-artifacts", {}, b"")),
    ("apigateway", ("GET", "/v2/apis", {}, b"")),
    ("scheduler", ("GET", "/schedules", {}, b"")),
    ("logs", target("Logs_20140328.DescribeLogGroups")),
    # What the emulator adds to AWS.
    ("lambda", ("GET", "/health", {}, b"")),
    ("lambda", ("GET", "/ready", {}, b"")),
    ("lambda", ("GET", "/_ministack/health", {}, b"")),
    ("lambda", ("POST", "/_ministack/reset", {}, b"")),
    ("lambda", ("GET", "/_localstack/health", {}, b"")),
    ("lambda", ("GET", "/_aws/sqs/messages", {}, b"")),
]
# The first one was the constant key; ministack takes the next three for the root of an account.
KEYS: dict[str, Callable[[StackProcess], str]] = {
    "the former constant": lambda _: "local",
    "the emulator's own": lambda _: "test",
    "an account": lambda _: "000000000000",
    "another account": lambda _: "123456789012",
    "none": lambda _: "",
    "the placeholder": lambda _: "none",
    "a stranger's": lambda _: "AKIAIOSFODNN7EXAMPLE",
    "most of the secret": lambda stack: stack.secret[:-1],
    "more than the secret": lambda stack: f"{stack.secret}0",
    "an API key": lambda stack: stack.api_key,
}


def is_refused(answer: requests.Response) -> bool:
    named = ("retail-pulse", "JobsTable", "ChunkQueue", "services", "available")
    return answer.status_code == 403 and not [name for name in named if name in answer.text]


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_without_the_secret_every_aws_request_is_refused(
    stack: StackProcess, key: Callable[[StackProcess], str]
) -> None:
    found = {}
    with requests.Session() as session:
        session.trust_env = False
        # The gateway refuses before it has read the body, so it may close the connection.
        session.headers["Connection"] = "close"
        for service, (method, path, headers, body) in REQUESTS:
            scope = f"{key(stack)}/20261128/us-east-1/{service}/aws4_request"
            # Its signature is not looked at when the emulator takes the key for that of the root.
            signed = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=00"
            answer = session.request(
                method, stack.url + path, headers=headers | {"authorization": signed}, data=body, timeout=60
            )
            found[service, method, path, headers.get("x-amz-target")] = answer
    assert {each: answer.text for each, answer in found.items() if not is_refused(answer)} == {}


def test_a_request_without_any_signature_is_not_for_the_emulator(stack: StackProcess) -> None:
    with ApiClient(stack.url, None) as outsider:
        statuses = {
            (method, path, headers.get("x-amz-target")): outsider.request(
                method, path, headers=headers, data=body
            ).status_code
            for _, (method, path, headers, body) in REQUESTS
        }
    # This leads to the service's own page.
    assert statuses.pop(("GET", "/", None)) == 200
    assert {status for (*_, name), status in statuses.items() if name} == {403}
    assert {status for (*_, name), status in statuses.items() if not name} == {404}


@pytest.mark.parametrize(
    ("service", "operation"),
    [
        ("dynamodb", "list_tables"), ("lambda", "list_functions"), ("sqs", "list_queues"), ("s3", "list_buckets"),
        ("cloudformation", "list_stacks"), ("sts", "get_caller_identity"), ("apigatewayv2", "get_apis"),
    ],
)  # fmt: skip
def test_an_sdk_with_another_secret_raises_an_error_that_says_so(
    stack: StackProcess, service: Any, operation: str
) -> None:
    session = boto3.Session("f" * 32, "f" * 32, region_name=stack.region)
    stranger = session.client(service, endpoint_url=stack.endpoint_url)

    with pytest.raises(ClientError, match=r"UnrecognizedClientException.*security token .* is invalid"):
        getattr(stranger, operation)()


def test_the_credentials_of_a_function_cannot_be_derived(stack: StackProcess, client: ApiClient) -> None:
    # GIVEN a function that has run, and its names, which are the same at each start
    assert client.get("/api/health").status_code == 200
    for function in stack.client("lambda").list_functions()["Functions"]:
        # WHEN its credentials are derived as the emulator does
        digest = hashlib.sha256(f"{function['FunctionArn']}:{function['Role']}".encode()).hexdigest()
        secret, token = (hashlib.sha256(f"{name}:{digest}".encode()).hexdigest() for name in ("secret", "token"))
        session = boto3.Session(f"ASIA{digest[:16].upper()}", secret, token, region_name=stack.region)

        # THEN they are refused
        with pytest.raises(ClientError, match="UnrecognizedClientException"):
            session.client("sts", endpoint_url=stack.endpoint_url).get_caller_identity()


@pytest.mark.parametrize("path", ["/", "/api/status", "/_aws/execute-api/x/y"])
def test_a_websocket_is_refused(stack: StackProcess, path: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(stack.url).netloc, timeout=60)
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    connection.request("GET", path, headers=upgrade | {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="})
    with connection.getresponse() as answer:
        assert answer.status == 403
    connection.close()


def test_the_secret_is_in_no_command_line_and_in_no_log(stack: StackProcess, client: ApiClient) -> None:
    if not Path("/proc/self/cmdline").exists():
        pytest.skip("command lines are found in /proc")
    # Workers run from now on at the latest.
    client.get("/api/status", jobid=1)

    lines = [Path(f"/proc/{process}/cmdline").read_bytes() for process in tree(stack.pid)]

    assert len(lines) >= 4
    assert not [line for line in lines if stack.secret.encode() in line]
    assert stack.secret not in stack.log.read_text(encoding="utf-8")
    assert stack.secret not in stack.output


def test_the_secret_is_only_in_a_file_that_its_user_can_read(stack: StackProcess) -> None:
    folder = stack.log.parent
    files = [path for path in folder.rglob("*") if path.is_file()]
    holding = [path for path in files if stack.secret.encode() in path.read_bytes()]

    assert holding == [find(stack.url)]
    assert f"AWS   . {holding[0]}  " in stack.output
    # Symbolic links have no permissions of their own.
    open_to_others = [
        path for path in (folder, *folder.rglob("*")) if not path.is_symlink() and path.stat().st_mode & 0o077
    ]
    assert open_to_others == []


def test_the_state_of_a_stack_is_for_its_user_only(tmp_path: Path) -> None:
    # GIVEN a state directory that others may enter
    state = tmp_path / "state"
    state.mkdir()
    state.chmod(0o755)

    with StackProcess(state_dir=state):
        pass

    modes = {path.relative_to(tmp_path).as_posix(): stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert {"state", "state/lock", "state/stack.log"} < modes.keys()
    assert {name: oct(mode) for name, mode in modes.items() if mode & 0o077} == {}
