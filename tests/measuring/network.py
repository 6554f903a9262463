"""A simulated network for the fetcher: names resolve to what a case says, and no connection leaves the process.

`socket.getaddrinfo` and the methods of the socket class are replaced, so that a connection is recorded whoever makes
it, also one that goes around the fetcher's own connection class.
"""

import io
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from local.images.pictures import Format, make_image
from tests.measuring.cases import Case

_PICTURE = make_image(Format.PNG, 20, 27)
_real_getaddrinfo = socket.getaddrinfo


class SimulatedNetwork:
    """The network of one case.

    Parameters
    ----------
    case
        Says what names resolve to, who refuses connections, and what servers answer.
    answer
        What servers send instead of that, byte by byte as it stands; None for redirects and pictures.
    """

    def __init__(self, case: Case, answer: bytes | None = None) -> None:
        self._case = case
        self._answer = answer
        self._look_ups: dict[str, int] = {}
        self._replies: dict[int, io.BytesIO] = {}
        self._peers: dict[int, tuple[Any, ...]] = {}
        self._redirects = iter(case.redirects)
        self.connected: list[str] = []
        self.requests: list[bytes] = []

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Take the place of the real network."""
        self._redirects = iter(self._case.redirects)
        methods = {
            "connect": lambda connection, address: self._connect(connection, address),
            "connect_ex": lambda connection, address: self._connect(connection, address),
            "getpeername": lambda connection: self._peers[id(connection)],
            "send": lambda connection, data, *_: self._send(connection, data),
            "sendall": lambda connection, data, *_: self._send(connection, data),
            "recv_into": lambda connection, buffer, *_: self._replies[id(connection)].readinto(buffer),
        }
        with ExitStack() as stack:
            stack.enter_context(patch("socket.getaddrinfo", self._getaddrinfo))
            for name, method in methods.items():
                stack.enter_context(patch.object(socket.socket, name, method))
            yield

    def _getaddrinfo(self, host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        # The encoding is the real function's own, and may fail as there.
        name = host.encode("idna").decode().lower().rstrip(".")
        if name not in self._case.resolver:
            # Addresses in any form that the C library reads; nothing is asked of a resolver.
            return _real_getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        answers = self._case.resolver[name]
        number = self._look_ups.get(name, 0)
        self._look_ups[name] = number + 1
        found = answers[min(number, len(answers) - 1)]
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [
            entry
            for address in found
            for entry in _real_getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        ]

    def _connect(self, connection: socket.socket, address: tuple[Any, ...]) -> None:
        self.connected.append(address[0])
        if address[0] in self._case.dead:
            raise ConnectionRefusedError(111, "Connection refused")
        self._peers[id(connection)] = address

    def _send(self, connection: socket.socket, data: bytes) -> int:
        self.requests.append(bytes(data))
        if self._answer is not None:
            self._replies[id(connection)] = io.BytesIO(self._answer)
            return len(data)
        status, location = next(self._redirects, (200, ""))
        head = f"HTTP/1.1 {status} Fine\r\nConnection: close\r\n"
        body = _PICTURE if status == 200 else b""
        head += f"Location: {location}\r\n" if location else ""
        head += f"Content-Length: {len(body)}\r\n\r\n"
        self._replies[id(connection)] = io.BytesIO(head.encode() + body)
        return len(data)
