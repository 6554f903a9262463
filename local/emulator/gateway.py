"""Routes requests to the API or, from AWS SDKs, to the emulator; applies the limits of API Gateway and Lambda."""

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
# Returns whether the headers of a request have credentials that the stack has given out.
Admits = Callable[[list[tuple[bytes, bytes]]], bool]

# Lambda's limit per request and per response, for the body as encoded in the event's JSON. The emulator has no limit.
LAMBDA_BYTES = 6 * 1024 * 1024
# A larger body is still read to its end, or the client would see a broken connection instead of 413. A body beyond this
# size is not a mistake.
_DISCARD_BYTES = 256 * 1024 * 1024
# API Gateway passes a body of these types on as text, and any other in Base64.
TEXT_TYPES = ("text/", "application/json", "application/xml", "application/javascript")
# ministack's switches, its reset, and the functions' code, all without authorization. The functions do not need them.
_EMULATOR_PATHS = ("/_ministack", "/_localstack", "/_aws")
_UNKNOWN_KEY = "UnrecognizedClientException"
_UNKNOWN_KEY_TEXT = "The security token included in the request is invalid."
# Without this limit, 200 concurrent requests make the emulator start hundreds of worker processes (16 GB measured).
_CONCURRENCY = 4


class Gateway:
    """An ASGI application in front of the emulator's.

    A request signed by an AWS SDK goes to the emulator unchanged, if it has credentials of this stack. Every request
    without a signature goes to the API's route table, which answers an unknown route with 404. So neither a web page
    nor another user of this machine can reach the emulator itself, and no client can reach its additions to AWS.
    """

    def __init__(self, emulator: App, admits: Admits) -> None:
        self._emulator = emulator
        self._admits = admits
        self._prefix: str | None = None
        self._slots = asyncio.Semaphore(_CONCURRENCY)

    def open(self, api_id: str) -> None:
        """Pass requests to this API on; until then, they get 503."""
        self._prefix = f"/_aws/execute-api/{api_id}/$default"

    def close(self) -> None:
        """Answer further requests to the API with 503."""
        self._prefix = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "lifespan":
            await self._emulator(scope, receive, send)
        elif scope["type"] == "websocket":
            # Neither the API nor any of its clients uses one; closed before it is accepted, it is answered with 403.
            await send({"type": "websocket.close"})
        elif scope["type"] == "http":
            headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
            if not _is_loopback(headers.get("host", "")):
                # A page whose own host name resolves to 127.0.0.1 passes the browser's same-origin check, and a Lambda
                # emulator runs any code.
                await _answer(send, 403, "Forbidden")
            elif not _is_signed(headers):
                await self._serve_api(scope, headers, receive, send)
            elif _is_from_page(headers) or scope["path"].startswith(_EMULATOR_PATHS):
                await _answer(send, 403, "Forbidden")
            elif not self._admits(scope["headers"]):
                await _refuse(send, headers)
            else:
                await self._emulator(scope, receive, send)

    async def _serve_api(self, scope: Scope, headers: dict[str, str], receive: Receive, send: Send) -> None:
        body = await _read(receive)
        if body is None or _event_bytes(body, headers.get("content-type", "")) > LAMBDA_BYTES:
            await _answer(send, 413, "Request Entity Too Large")
            return
        if scope["method"] == "OPTIONS":
            # The emulator would answer every preflight and allow everything; the API has no such route.
            await _answer(send, 404, "Not Found")
            return
        answer: list[Message] = []

        async def replay() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def keep(message: Message) -> None:
            answer.append(message)

        # The answer is sent after the slot is released, so that a slow client does not hold it.
        async with self._slots:
            prefix = self._prefix
            if prefix is not None:
                raw_path = prefix.encode("ascii") + (scope.get("raw_path") or scope["path"].encode("utf-8"))
                await self._emulator({**scope, "path": prefix + scope["path"], "raw_path": raw_path}, replay, keep)
        if prefix is None:
            await _answer(send, 503, "Service Unavailable")
        elif _has_failed(answer):
            await _answer(send, 500, "Internal Server Error")
        else:
            for message in answer:
                await send(message)


def _is_loopback(host: str) -> bool:
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    return name in {"127.0.0.1", "localhost", "[::1]"} or name.endswith(".localhost")


def _is_signed(headers: dict[str, str]) -> bool:
    # Only by header: no client here signs a URL, and any page can call a URL. For such headers a browser sends a
    # preflight, which gets 404.
    return "x-amz-target" in headers or headers.get("authorization", "").startswith("AWS4-HMAC-SHA256")


def _is_from_page(headers: dict[str, str]) -> bool:
    """Return whether a web page sent this: pages cannot omit these headers, and SDKs do not send them."""
    return "origin" in headers or headers.get("sec-fetch-site", "none") != "none"


async def _read(receive: Receive) -> bytes | None:
    """Return the body, or None when it exceeds Lambda's limit."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        part = message.get("body", b"")
        size += len(part)
        if size <= LAMBDA_BYTES:
            parts.append(part)
        if not message.get("more_body", False) or size > _DISCARD_BYTES:
            return b"".join(parts) if size <= LAMBDA_BYTES else None


def _event_bytes(body: bytes, content_type: str) -> int:
    """Return the length of the body in Lambda's event: a JSON string for text, Base64 for anything else."""
    if len(body) * 6 <= LAMBDA_BYTES:  # an escape has at most six characters
        return len(body)
    if content_type.lower().startswith(TEXT_TYPES):
        return len(json.dumps(body.decode("utf-8", "replace"), ensure_ascii=False).encode("utf-8", "replace"))
    return (len(body) + 2) // 3 * 4


def _has_failed(answer: list[Message]) -> bool:
    """Return whether API Gateway would answer 500: the function failed, or its response is too long."""
    body = b"".join(message.get("body", b"") for message in answer)
    if answer[0]["status"] == HTTPStatus.BAD_GATEWAY and b'"errorMessage"' in body and b'"errorType"' in body:
        # The emulator would show a failed function's exception to the API's client.
        return True
    return _event_bytes(body, "text/") > LAMBDA_BYTES


async def _refuse(send: Send, headers: dict[str, str]) -> None:
    """Answer as AWS does for unknown credentials, so that an SDK raises an error that says so."""
    is_form = headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
    if is_form or "/s3/aws4_request" in headers.get("authorization", ""):
        error = f"<Error><Code>{_UNKNOWN_KEY}</Code><Message>{_UNKNOWN_KEY_TEXT}</Message></Error>"
        await _send(send, 403, f"<ErrorResponse>{error}</ErrorResponse>", (b"content-type", b"text/xml"))
    else:
        text = json.dumps({"__type": _UNKNOWN_KEY, "message": _UNKNOWN_KEY_TEXT})
        kinds = (b"content-type", b"application/json"), (b"x-amzn-errortype", _UNKNOWN_KEY.encode())
        await _send(send, 403, text, *kinds)


async def _answer(send: Send, status: int, text: str) -> None:
    body = json.dumps({"message": text}, separators=(",", ":"))
    await _send(send, status, body, (b"content-type", b"application/json"))


async def _send(send: Send, status: int, text: str, *kinds: tuple[bytes, bytes]) -> None:
    body = text.encode()
    headers = [*kinds, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
