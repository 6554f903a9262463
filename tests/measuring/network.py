"""A simulated network for the fetcher: names resolve to what a case says, and no connection leaves the process.

`socket.getaddrinfo` and the methods of the socket class are replaced, so that a connection is recorded whoever makes
it, also one that goes around the fetcher's own connection class.
"""

import io
import socket
from collections import Counter
from functools import partial
from typing import Any
from unittest.mock import patch

from retail_pulse.domain.failures import MeasuringError
from retail_pulse.measuring.fetch import Fetcher
from tests.measuring.cases import Case
from tests.measuring.hostile_server import PICTURE
from tests.support.fetching import measure

_real_getaddrinfo = socket.getaddrinfo


class SimulatedNetwork:
    """The network of one case: an answer is sent as it is, in place of the case's redirects and a picture."""

    def __init__(self, case: Case, answer: bytes | None = None) -> None:
        self._case = case
        self._answer = answer
        self._look_ups: Counter[str] = Counter()
        self._replies: dict[int, io.BytesIO] = {}
        self._peers: dict[int, tuple[Any, ...]] = {}
        self.connected: list[str] = []
        self.requests: list[bytes] = []

    def failure(self, fetcher: Fetcher) -> MeasuringError | None:
        """Measure the case's URL in place of the real network; other exceptions than the domain's are raised."""
        self._redirects = iter(self._case.redirects)
        methods: dict[str, Any] = {
            "connect": lambda connection, address: self._connect(connection, address),
            "connect_ex": lambda connection, address: self._connect(connection, address),
            "getpeername": lambda connection: self._peers[id(connection)],
            "send": lambda connection, data, *_: self._send(connection, data),
            "sendall": lambda connection, data, *_: self._send(connection, data),
            "recv_into": lambda connection, buffer, count: self._replies[id(connection)].readinto(buffer[:count]),
        }
        with patch("socket.getaddrinfo", self._getaddrinfo), patch.multiple(socket.socket, **methods):
            try:
                measure(fetcher, self._case.url)
            except MeasuringError as error:
                return error
        return None

    def _getaddrinfo(self, host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        # The encoding is the real function's own, and may fail as there.
        name = host.encode("idna").decode().lower().rstrip(".")
        answers = self._case.resolver.get(name, [[host]])
        found = answers[min(self._look_ups[name], len(answers) - 1)]
        self._look_ups[name] += 1
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        # Addresses in any form that the C library reads; nothing is asked of a resolver.
        look_up = partial(_real_getaddrinfo, port=port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        return [info for address in found for info in look_up(address)]

    def _connect(self, connection: socket.socket, address: tuple[Any, ...]) -> None:
        self.connected.append(address[0])
        if address[0] in self._case.dead:
            raise ConnectionRefusedError(111, "Connection refused")
        self._peers[id(connection)] = address

    def _send(self, connection: socket.socket, data: bytes) -> int:
        self.requests.append(bytes(data))
        reply = self._answer
        if reply is None:
            status, location = next(self._redirects, (200, ""))
            body = PICTURE if status == 200 else b""
            head = f"HTTP/1.1 {status} Fine\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
            head += f"Location: {location}\r\n\r\n" if location else "\r\n"
            reply = head.encode() + body
        self._replies[id(connection)] = io.BytesIO(reply)
        return len(data)
