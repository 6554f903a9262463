"""The gateway, in front of a fake emulator."""

import asyncio
import json
from typing import Any

import pytest

from local.emulator.gateway import LAMBDA_BYTES, Gateway, Message, Receive, Scope, Send

AUTHORIZED = {"authorization": "AWS4-HMAC-SHA256 Credential=key/20261128/us-east-1/dynamodb/aws4_request"}
GET_ITEM = {"x_amz_target": "DynamoDB_20120810.GetItem"}


class Emulator:
    """Records the requests and sends the same response to each."""

    def __init__(self, body: bytes = b"ok", status: int = 200) -> None:
        self.scopes: list[Scope] = []
        self.active = 0
        self.max_active = 0
        self._body = body
        self._status = status

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        self.active += 1
        self.max_active = max(self.max_active, self.active)
        # Let every other request get as far as it can.
        for _ in range(50):
            await asyncio.sleep(0)
        await receive()
        self.active -= 1
        await send({"type": "http.response.start", "status": self._status, "headers": []})
        await send({"type": "http.response.body", "body": self._body})


def gateway_to(emulator: Emulator, *, admits: bool = True) -> Gateway:
    return Gateway(emulator, lambda _: admits)


def opened(emulator: Emulator) -> Gateway:
    gateway = gateway_to(emulator)
    gateway.open("abc")
    return gateway


async def call(
    gateway: Gateway, path: str = "/api/status", method: str = "GET", query: str = "", **headers: str
) -> tuple[int, bytes]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [
            (name.replace("_", "-").encode(), value.encode())
            for name, value in {"host": "localhost", **headers}.items()
        ],
    }
    await gateway(scope, receive, send)
    return sent[0]["status"], sent[1]["body"]


def test_a_request_goes_to_the_routes_of_the_api() -> None:
    emulator = Emulator()

    assert asyncio.run(call(opened(emulator), "/api/x%2Fy")) == (200, b"ok")
    assert emulator.scopes[0]["path"] == "/_aws/execute-api/abc/$default/api/x%2Fy"
    assert emulator.scopes[0]["raw_path"] == b"/_aws/execute-api/abc/$default/api/x%2Fy"


@pytest.mark.parametrize("headers", [GET_ITEM, {"authorization": "AWS4-HMAC-SHA256 Credential=a/b"}])
def test_a_signed_request_goes_to_the_emulator_unchanged(headers: dict[str, str]) -> None:
    emulator = Emulator()

    assert asyncio.run(call(gateway_to(emulator), "/", **headers)) == (200, b"ok")
    assert emulator.scopes[0]["path"] == "/"


@pytest.mark.parametrize("headers", [GET_ITEM, AUTHORIZED, GET_ITEM | AUTHORIZED])
@pytest.mark.parametrize("path", ["/", "/health", "/_ministack/health", "/2015-03-31/functions/", "/api/health"])
def test_a_request_signed_with_other_credentials_does_not_reach_the_emulator(
    path: str, headers: dict[str, str]
) -> None:
    emulator = Emulator()

    status, _ = asyncio.run(call(gateway_to(emulator, admits=False), path, **headers))

    assert status == 403
    assert not emulator.scopes


def test_the_gateway_looks_at_the_headers_as_they_were_sent() -> None:
    seen: list[list[tuple[bytes, bytes]]] = []

    def admits(headers: list[tuple[bytes, bytes]]) -> bool:
        seen.append(headers)
        return False

    asyncio.run(call(Gateway(Emulator(), admits), "/", **AUTHORIZED))

    assert seen == [[(b"host", b"localhost"), (b"authorization", AUTHORIZED["authorization"].encode())]]


def test_an_unsigned_request_needs_no_credentials_of_the_stack() -> None:
    emulator = Emulator()
    gateway = gateway_to(emulator, admits=False)
    gateway.open("abc")
    assert asyncio.run(call(gateway)) == (200, b"ok")


def test_a_websocket_is_closed_before_it_is_accepted() -> None:
    emulator, sent = Emulator(), []

    async def connect() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(opened(emulator)({"type": "websocket", "path": "/", "headers": []}, connect, send))

    assert sent == [{"type": "websocket.close"}]
    assert not emulator.scopes


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_a_signature_in_a_url_does_not_reach_the_emulators_own_routes(method: str) -> None:
    # Any web page may call any URL: the browser sends the request, and only hides the response from the page.
    emulator = Emulator(status=404)
    query = "X-Amz-Signature=x&X-Amz-Algorithm=AWS4-HMAC-SHA256"

    answer = asyncio.run(call(opened(emulator), "/_ministack/reset", method, query, origin="https://page.example"))

    assert answer[0] == 404
    assert all(scope["path"].startswith("/_aws/execute-api/abc/") for scope in emulator.scopes)


class TestRefusals:
    @pytest.mark.parametrize("headers", [{}, GET_ITEM])
    def test_no_request_is_served_under_a_foreign_host_name(self, headers: dict[str, str]) -> None:
        self.check(host="shop.example", **headers)

    @pytest.mark.parametrize("signed", [{"x_amz_target": "SQS.SendMessage"}, {"authorization": "AWS4-HMAC-SHA256 x"}])
    @pytest.mark.parametrize(
        "sender",
        [
            {"origin": "https://page.example"},
            {"origin": "null"},
            {"origin": "http://127.0.0.1:8080"},
            {"sec_fetch_site": "cross-site"},
            {"sec_fetch_site": "same-site"},
            {"sec_fetch_site": "same-origin"},
        ],
    )
    def test_a_web_page_is_refused_by_the_emulator_even_with_signed_headers(
        self, signed: dict[str, str], sender: dict[str, str]
    ) -> None:
        self.check("/", "POST", **signed, **sender)

    @pytest.mark.parametrize(
        "path",
        ["/_ministack/reset", "/_ministack/lambda-code/1/2/f", "/_localstack/health", "/_aws/execute-api/x/$default/"],
    )
    def test_routes_that_the_emulator_adds_to_aws_are_always_refused(self, path: str) -> None:
        self.check(path, "POST", x_amz_target="SQS.SendMessage")

    def check(self, *request: str, **headers: str) -> None:
        emulator = Emulator()
        assert asyncio.run(call(gateway_to(emulator), *request, **headers))[0] == 403
        assert not emulator.scopes


def test_the_api_is_unavailable_before_the_deployment_and_after_the_end() -> None:
    gateway = gateway_to(Emulator())

    def status() -> int:
        return asyncio.run(call(gateway))[0]

    assert status() == 503
    gateway.open("abc")
    assert status() == 200
    gateway.close()
    assert status() == 503


def test_at_most_four_requests_are_served_at_once() -> None:
    emulator = Emulator()

    async def run() -> list[tuple[int, bytes]]:
        gateway = opened(emulator)
        return await asyncio.gather(*(call(gateway) for _ in range(100)))

    assert asyncio.run(run()) == [(200, b"ok")] * 100
    assert emulator.max_active == 4


def test_signed_requests_do_not_wait_for_those_four() -> None:
    # The functions' own calls are signed: a call that waited for its function's slot would wait for ever.
    emulator = Emulator()

    async def run() -> None:
        gateway = gateway_to(emulator)
        await asyncio.gather(*(call(gateway, **GET_ITEM) for _ in range(20)))

    asyncio.run(run())
    assert emulator.max_active == 20


@pytest.mark.parametrize(
    "emulator",
    [
        pytest.param(Emulator(b'{"errorMessage": "secret", "errorType": "KeyError"}', 502), id="a failed function"),
        pytest.param(Emulator(b'"' * (LAMBDA_BYTES // 2)), id="a response too large for Lambda"),
    ],
)
def test_a_failure_reveals_nothing(emulator: Emulator) -> None:
    status, body = asyncio.run(call(opened(emulator)))
    assert (status, json.loads(body)) == (500, {"message": "Internal Server Error"})
