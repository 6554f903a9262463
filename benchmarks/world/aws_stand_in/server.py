"""Serve HTTP/1.1 for boto3. Each answer is sent after a fixed time, and does not wait for other answers."""

import asyncio
import json
import threading
import zlib
from collections.abc import Mapping
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from benchmarks.world.aws_stand_in import queues, table
from benchmarks.world.aws_stand_in.errors import RefusedError

# What AWS takes to answer a call from the same region.
ANSWER_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class CallCounts:
    """Totals since the last reset.

    Parameters
    ----------
    dynamodb
        By the name of the call and the kind of item, such as ``("PutItem", "JOB")``.
    sqs
        By the name of the call.
    stored
        The number of all items and their bytes, by kind. A reset does not change it.
    max_at_once
        The highest number of calls that were waiting for an answer at the same time.
    """

    dynamodb: Mapping[tuple[str, str], table.Counts]
    sqs: Mapping[str, queues.Counts]
    stored: Mapping[str, tuple[int, int]]
    max_at_once: int


class AwsStandIn:
    """DynamoDB and SQS on 127.0.0.1: ``with made_in_new_process(AwsStandIn) as aws``.

    In its own process, its work does not count as its caller's.

    Parameters
    ----------
    seconds
        Time until each answer.
    """

    def __init__(self, seconds: float = ANSWER_SECONDS) -> None:
        self._tables = table.Tables()
        self._queues = queues.Queues()
        self._waiting = self._max_at_once = 0
        self._seconds = seconds
        # The answers are given by another thread.
        self._lock = threading.Lock()
        loop = asyncio.new_event_loop()
        server = loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**20, backlog=512))
        self._url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        threading.Thread(target=loop.run_forever, daemon=True).start()

    def url(self) -> str:
        """Return the value for ``AWS_ENDPOINT_URL``."""
        return self._url

    def reset(self) -> None:
        """Reset the totals. Items and messages stay."""
        with self._lock:
            self._tables.counts.clear()
            self._queues.counts.clear()
            self._max_at_once = 0

    def throttle(self, write_units_per_second: float | None) -> None:
        """Limit write units per second. None means no limit."""
        self._tables.throttle = table.Throttle(write_units_per_second)

    def messages(self) -> int:
        """Return the number of messages in all queues, hidden ones included."""
        return self._queues.messages()

    def counts(self) -> CallCounts:
        """Return the totals since the last reset."""
        tables, sqs = self._tables, self._queues
        with self._lock:
            return deepcopy(CallCounts(dict(tables.counts), dict(sqs.counts), tables.stored(), self._max_at_once))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection. boto3 sends the next one after it has received the answer."""
        clock = asyncio.get_running_loop().time
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[1:]
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                arrived = clock()
                self._waiting += 1
                self._max_at_once = max(self._max_at_once, self._waiting)
                status, answer = self._answer(headers.get("x-amz-target", ""), json.loads(body or b"{}"))
                content = json.dumps(answer, separators=(",", ":")).encode()
                head = (
                    f"HTTP/1.1 {status} {'OK' if status == 200 else 'Bad Request'}\r\n"
                    f"Content-Type: application/x-amz-json-1.0\r\nContent-Length: {len(content)}\r\n"
                    # DynamoDB sends this header, and the SDK checks it.
                    f"x-amz-crc32: {zlib.crc32(content)}\r\n\r\n"
                )
                await asyncio.sleep(arrived + self._seconds - clock())
                self._waiting -= 1
                writer.write(head.encode() + content)
        writer.close()

    def _answer(self, target: str, request: Any) -> tuple[int, dict[str, Any]]:
        """Return the status code and the body of the answer to a call."""
        service, _, call = target.partition(".")
        try:
            with self._lock:
                if service == "AmazonSQS":
                    return 200, self._queues.answer(call, request, self._url)
                return 200, self._tables.answer(call, request)
        except RefusedError as refused:
            return 400, {"__type": f"com.amazonaws#{refused.code}", "message": refused.text, **refused.more}
