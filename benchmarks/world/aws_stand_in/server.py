"""Serve HTTP/1.1 for boto3. Each answer is sent after a fixed time, and does not wait for other answers.

``python -m benchmarks.world.aws_stand_in.server`` prints its port, and serves until its standard input ends.
"""

import argparse
import asyncio
import json
import os
import sys
import zlib
from dataclasses import asdict
from functools import partial
from typing import Any

from benchmarks.world.aws_stand_in.errors import RefusedError
from benchmarks.world.aws_stand_in.queues import Queues
from benchmarks.world.aws_stand_in.table import Tables, Throttle

# Prefix of the stand-in's own calls; those of AWS have DynamoDB_20120810 or AmazonSQS.
CONTROL = "StandIn"


class _Service:
    """Both services and their totals."""

    def __init__(self) -> None:
        self.base_url = ""
        self.waiting = 0
        self._max_at_once = 0
        self._tables = Tables()
        self._queues = Queues()

    def answer(self, target: str, request: Any) -> tuple[int, dict[str, Any]]:
        """Return the status code and the body of the answer to a call."""
        self.waiting += 1
        self._max_at_once = max(self._max_at_once, self.waiting)
        prefix, _, call = target.partition(".")
        try:
            if prefix == CONTROL:
                return 200, self._control(call, request)
            if prefix == "AmazonSQS":
                return 200, self._queues.answer(call, request, self.base_url)
            return 200, self._tables.answer(call, request)
        except RefusedError as refused:
            return 400, {"__type": f"com.amazonaws#{refused.code}", "message": refused.text, **refused.more}

    def _control(self, call: str, request: Any) -> dict[str, Any]:
        tables, queues = self._tables, self._queues
        if call == "Throttle":
            tables.throttle = Throttle(request["write_units_per_second"])
        elif call == "Reset":
            tables.counts.clear()
            queues.counts.clear()
            self._max_at_once = 0
        elif call == "Messages":
            return {"messages": queues.messages()}
        elif call == "Counts":
            return {
                "dynamodb": [[*names, asdict(counts)] for names, counts in tables.counts.items()],
                "sqs": [[name, asdict(counts)] for name, counts in queues.counts.items()],
                "stored": [[kind, *stored] for kind, stored in tables.stored().items()],
                "max_at_once": self._max_at_once,
            }
        else:
            raise RefusedError("UnknownOperationException", f"unknown call {CONTROL}.{call}")
        return {}


class _Connection(asyncio.Protocol):
    """One connection. boto3 sends a request only after it has received the answer to the previous one."""

    def __init__(self, service: _Service, seconds: float) -> None:
        self._service = service
        self._seconds = seconds
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        arrived = asyncio.get_running_loop().time()
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        lines = self._received[:end].decode("latin-1").split("\r\n")[1:]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        start, length = end + 4, int(headers.get("content-length", 0))
        if len(self._received) < start + length:
            return
        body = bytes(self._received[start : start + length])
        del self._received[: start + length]
        status, answer = self._service.answer(headers.get("x-amz-target", ""), json.loads(body or b"{}"))
        content = json.dumps(answer, separators=(",", ":")).encode()
        head = (
            f"HTTP/1.1 {status} {'OK' if status == 200 else 'Bad Request'}\r\n"
            f"Content-Type: application/x-amz-json-1.0\r\nContent-Length: {len(content)}\r\n"
            # DynamoDB sends this header, and the SDK checks it.
            f"x-amz-crc32: {zlib.crc32(content)}\r\n\r\n"
        )
        asyncio.get_running_loop().call_at(arrived + self._seconds, partial(self._send, head.encode() + content))

    def _send(self, content: bytes) -> None:
        self._service.waiting -= 1
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(content)


async def _serve(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    service = _Service()
    server = await loop.create_server(partial(_Connection, service, seconds), "127.0.0.1", 0, backlog=512)
    port = server.sockets[0].getsockname()[1]
    service.base_url = f"http://127.0.0.1:{port}"
    print(port, flush=True)
    async with server:
        # The parent process holds the other end: its exit, however it happens, ends the input.
        await loop.run_in_executor(None, sys.stdin.buffer.read)


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.world.aws_stand_in.server", description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.005, help="time until an answer (default: 0.005)")
    asyncio.run(_serve(parser.parse_args().seconds))
    # The thread that reads the input would delay the exit.
    os._exit(0)


if __name__ == "__main__":
    main()
