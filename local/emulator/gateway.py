"""The front door: which requests are the API's, which are AWS SDKs', and what API Gateway and Lambda would refuse."""

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

# Lambda's limit for one call and for one answer, the body as it stands in the event's JSON. The emulator has none.
LAMBDA_BYTES = 6 * 1024 * 1024
# A body beyond the limit is read to its end all the same, or the client would see a broken connection instead of 413;
# past this it is no longer a mistake.
_DISCARD_BYTES = 256 * 1024 * 1024
_TEXT_TYPES = ("text/", "application/json", "application/xml", "application/javascript")
# Its switches, its reset, and code of functions without a look at who asks. The functions' workers need none of it.
_EMULATORS_OWN = ("/_ministack", "/_localstack", "/_aws")
# Without this, 200 requests at once make the emulator start hundreds of worker processes (16 GB were measured).
_CONCURRENCY = 4


class Gateway:
    """An ASGI application in front of the emulator's.

    A request that an AWS SDK has signed goes to the emulator as it is. Every other one is a request to the API: it goes
    to the API's own route table, and what that does not know is 404. So nothing that a web page can send reaches
    anything of the emulator itself, nor does anybody reach what the emulator adds to AWS.

    Parameters
    ----------
    emulator
        The emulator's application.
    """

    def __init__(self, emulator: App) -> None:
        self._emulator = emulator
        self._prefix: str | None = None
        self._slots = asyncio.Semaphore(_CONCURRENCY)

    def open(self, api_id: str) -> None:
        """Let requests to this API in; before it, they are answered 503."""
        self._prefix = f"/_aws/execute-api/{api_id}/$default"

    def close(self) -> None:
        """Answer requests to the API with 503 from now on."""
        self._prefix = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, as ASGI has it."""
        if scope["type"] == "lifespan":
            await self._emulator(scope, receive, send)
        elif scope["type"] == "http":
            headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
            if not _is_loopback(headers.get("host", "")):
                # A page that makes its own name point to 127.0.0.1 gets past the browser's same-origin rule, and an
                # emulator of Lambda runs any code it is given.
                await _answer(send, 403, "Forbidden")
            elif not _is_signed(headers):
                await self._serve_api(scope, headers, receive, send)
            elif _is_of_page(headers) or scope["path"].startswith(_EMULATORS_OWN):
                await _answer(send, 403, "Forbidden")
            else:
                await self._emulator(scope, receive, send)

    async def _serve_api(self, scope: Scope, headers: dict[str, str], receive: Receive, send: Send) -> None:
        body = await _read(receive)
        if body is None or _event_bytes(body, headers.get("content-type", "")) > LAMBDA_BYTES:
            await _answer(send, 413, "Request Entity Too Large")
            return
        if scope["method"] == "OPTIONS":
            # The emulator answers every preflight by itself and allows all; the API has no such route and no CORS.
            await _answer(send, 404, "Not Found")
            return
        answer: list[Message] = []

        async def replay() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def keep(message: Message) -> None:
            answer.append(message)

        # The answer is kept until the slot is free again: a client that reads slowly must not hold it.
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
    # By header alone: nothing here signs a URL, and a URL is what any page may call. For headers like these a browser
    # asks first, and is answered 404.
    return "x-amz-target" in headers or headers.get("authorization", "").startswith("AWS4-HMAC-SHA256")


def _is_of_page(headers: dict[str, str]) -> bool:
    """Tell whether a web page sends this; no SDK says where it comes from, and no page can keep it back."""
    return "origin" in headers or headers.get("sec-fetch-site", "none") != "none"


async def _read(receive: Receive) -> bytes | None:
    """Return the body, or None when it is longer than any that Lambda takes."""
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
    """Return how long the body is within Lambda's event: a JSON string for text, Base64 for anything else."""
    if len(body) * 6 <= LAMBDA_BYTES:  # no escape is longer than six characters
        return len(body)
    if content_type.lower().startswith(_TEXT_TYPES):
        return len(json.dumps(body.decode("utf-8", "replace"), ensure_ascii=False).encode("utf-8", "replace"))
    return (len(body) + 2) // 3 * 4


def _has_failed(answer: list[Message]) -> bool:
    """Tell whether API Gateway would have nothing of a function to hand on: it failed, or its answer is too long."""
    body = b"".join(message.get("body", b"") for message in answer)
    if answer[0]["status"] == HTTPStatus.BAD_GATEWAY and b'"errorMessage"' in body and b'"errorType"' in body:
        # The emulator shows the exception of a function that failed to whoever called the API.
        return True
    return _event_bytes(body, "text/") > LAMBDA_BYTES


async def _answer(send: Send, status: int, text: str) -> None:
    body = json.dumps({"message": text}, separators=(",", ":")).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
