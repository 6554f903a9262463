"""Calls to AWS that are not answered: what each function waits for fits into its time."""

import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest
from botocore.config import Config

from local.checkout import ROOT
from local.emulator.template import FUNCTION, Template
from local.lambda_host.context import Context
from local.lambda_host.environment import FUNCTIONS, environment
from local.lambda_host.events import authorizer_event, event
from local.lambda_host.load import load
from retail_pulse.domain.api_keys import new_key
from retail_pulse.domain.chunks import Pointer, Scope
from retail_pulse.storage import queue, table
from tests.functions.service import Service
from tests.support.waiting import END_SECONDS

PAGE = ROOT / "docs" / "reliability.md"
# The console calls nothing.
CALLING = [name for name in FUNCTIONS if name != "console"]
EVENTS = {name: authorizer_event(new_key()) if name == "authorize" else event(name) for name in CALLING}
for record in EVENTS["process"]["Records"]:
    record["body"] = queue.encode(Pointer("me", 123, "gone", 0, 1, Scope.ALL))
# What DynamoDB or SQS answers when there is nothing: each call reads its own fields.
NOTHING = json.dumps(
    {name: {} for name in ("Attributes", "Responses", "UnprocessedItems", "UnprocessedKeys")}
    | {name: [] for name in ("Items", "Successful", "Failed")}
).encode()


class Handler(BaseHTTPRequestHandler):
    """Leaves the first request to a server unanswered, and answers the others."""

    server: "Server"

    def do_POST(self) -> None:
        """Answer a call, unless it is the first."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.calls.append(self.headers["X-Amz-Target"])
        if len(self.server.calls) == 1:
            self.server.ended.wait()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(NOTHING)))
        self.end_headers()
        self.wfile.write(NOTHING)

    def log_message(self, *_: Any) -> None:
        """Write nothing."""


class Server(ThreadingHTTPServer):
    """In place of DynamoDB and SQS. Its threads end with it."""

    daemon_threads = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.calls: list[str] = []
        self.ended = threading.Event()


@pytest.fixture
def servers() -> Iterator[dict[str, Server]]:
    """Start a server per function."""
    started = {name: Server() for name in CALLING}
    for server in started.values():
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield started
    for server in started.values():
        server.shutdown()
        server.ended.set()
        server.server_close()


@pytest.fixture
def handlers(monkeypatch: pytest.MonkeyPatch, servers: dict[str, Server]) -> dict[str, Any]:
    """The functions, each with clients of its own server, and closed afterwards."""
    loaded = {}
    for name, server in servers.items():
        url = f"http://127.0.0.1:{server.server_port}"
        for variable, value in environment(name, JobsTable="jobs", ChunkQueue=f"{url}/123456789012/q").items():
            monkeypatch.setenv(variable, value)
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        loaded[name] = load(name)
    return loaded


def timeout(function: str) -> int:
    template = Template()
    return int(template.resolve(template.resources(FUNCTION)[FUNCTIONS[function]]["Timeout"]))


def test_the_second_attempt_comes_within_each_functions_time(
    servers: dict[str, Server], handlers: dict[str, Any]
) -> None:
    def call(name: str) -> Any:
        try:
            return handlers[name].handler(EVENTS[name], Context(seconds=timeout(name)))
        finally:
            servers[name].ended.set()

    with ThreadPoolExecutor(len(CALLING)) as at_once:
        answers = {name: at_once.submit(call, name) for name in CALLING}
        found = {name: answer.result(END_SECONDS) for name, answer in answers.items()}
    for name, server in servers.items():
        first, second, *_ = server.calls
        assert first == second, name
    assert found["authorize"] == {"isAuthorized": False}
    assert found["submit"]["statusCode"] == 201
    assert found["status"]["statusCode"] == 400
    assert found["process"] == {"batchItemFailures": []}
    assert found["reprocess"]["unfinished"] is False


def longest_call(config: Config) -> float:
    """Return the seconds after which a call fails if the connections of all its attempts hang."""
    attempts = config.retries["total_max_attempts"]  # type: ignore[attr-defined]
    waits = sum(2**number for number in range(attempts - 1))
    return float(attempts * (config.connect_timeout + config.read_timeout) + waits)  # type: ignore[attr-defined]


def longest_paths(function: str, call: float, app: Any) -> tuple[float, float]:
    """Return the seconds of the longest path of a function whose last steps hang, and the seconds that it has."""
    time = timeout(function)
    match function:
        case "submit":  # All batches, the last one of which hangs, and giving the images back.
            return table._BATCHES_SECONDS + 2 * call, time
        case "status":  # All batches, the last one of which hangs.
            return table._BATCHES_SECONDS + call, time
        case "process":  # One of the last writes.
            return call, app._RESERVE_SECONDS
        case "reprocess":  # The length of the queue, and the messages of one job, the last ones of which hang.
            return queue._SENDING_SECONDS + 2 * call, app._LONGEST_JOB_MILLISECONDS / 1000
    return call, time


@pytest.mark.parametrize("function", CALLING)
def test_the_longest_calls_fit_into_the_function_s_time_and_the_page_has_the_sums(
    service: Service, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    configs = []
    original = boto3.Session.client

    def spy(session: boto3.Session, *names: Any, **options: Any) -> Any:
        configs.append(options["config"])
        return original(session, *names, **options)

    monkeypatch.setattr(boto3.Session, "client", spy)
    app = service.load(function)
    (call,) = {longest_call(config) for config in configs}
    path, room = longest_paths(function, call, app)
    assert path < room <= timeout(function)
    row = re.search(rf"^\| {function} \|.*$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert row is not None
    config = configs[0]
    shown = config.retries["total_max_attempts"], config.connect_timeout, config.read_timeout, call, path, room
    assert [cell.split()[0] for cell in row[0].strip("| ").split("|")[1:]] == [f"{number:g}" for number in shown]
