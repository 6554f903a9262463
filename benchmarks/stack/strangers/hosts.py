"""Image hosts on 127.0.0.x that answer as they are told, and log each request: thousands at once at little CPU time."""

import asyncio
import os
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import trustme

from local.images.server import FOREVER, Action, Answer, End, Pause, Repeat

_END_OF_HEAD = b"\r\n\r\n"
_BACKLOG = 4096


class Event(NamedTuple):
    """A request begins or ends, at a time of `time.monotonic`; `port` is that of the client's end."""

    at: float
    address: str
    path: str
    port: int
    begins: bool


class ImageHosts:
    """The hosts, in an event loop of their own; made in a process of their own by `made_in_new_process`.

    The first part of a path names the script that answers: ``/drip/17`` is answered by the script ``drip``.

    Parameters
    ----------
    scripts
        The answers, of actions of `local.images.server` that another process understands; `script` adds more.
    count
        How many addresses listen, from 127.0.0.2 on, all on one port.
    authority
        A folder: its ``ca.pem`` is the certificate of a new authority, and every address also listens with TLS.
    """

    def __init__(self, scripts: Mapping[str, Answer], count: int, authority: str = "") -> None:
        self._scripts = dict(scripts)
        self._addresses = [f"127.0.{number // 250}.{2 + number % 250}" for number in range(count)]
        self._authority = authority
        self._log: list[Event] = []
        self._ports: list[int] = []
        self._is_up = threading.Event()
        threading.Thread(target=asyncio.run, args=(self._serve(),), daemon=True).start()
        if not self._is_up.wait(20):
            raise OSError("the image hosts did not start; only Linux has all addresses of 127.0.0.0/8")

    def bases(self, tls: bool = False) -> list[str]:
        """Return the base URL of each host."""
        scheme, port = ("https", self._ports[1]) if tls else ("http", self._ports[0])
        return [f"{scheme}://{address}:{port}" for address in self._addresses]

    def script(self, name: str, answer: Answer) -> None:
        """Add or replace a script."""
        self._scripts[name] = answer

    def events(self) -> list[Event]:
        """Return the log so far, in the order of time."""
        return list(self._log)

    def begun(self, name: str) -> int:
        """Return the number of requests that a script has answered so far."""
        return sum(event.begins and event.path.startswith(f"/{name}/") for event in list(self._log))

    def play(self, path: str) -> Iterator[Action]:
        """Return the actions that answer a path."""
        return iter(self._scripts.get(path.split("/")[1], (b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",)))

    def log(self, address: str, path: str, port: int, begins: bool) -> None:
        """Log that a request begins or ends now."""
        self._log.append(Event(time.monotonic(), address, path, port, begins))

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        contexts = [None, *([self._context()] if self._authority else [])]
        for context in contexts:
            port = 0
            for address in self._addresses:
                server = await loop.create_server(
                    lambda: _Connection(self), address, port, ssl=context, backlog=_BACKLOG
                )
                port = server.sockets[0].getsockname()[1]
            self._ports.append(port)
        self._is_up.set()
        parent = os.getppid()
        while os.getppid() == parent:
            await asyncio.sleep(1)
        os._exit(1)  # a parent that was killed cannot end this process

    def _context(self) -> ssl.SSLContext:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(Path(self._authority) / "ca.pem"))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*self._addresses).configure_cert(context)
        return context


class _Connection(asyncio.Protocol):
    """One connection: it answers one request after the other."""

    def __init__(self, hosts: ImageHosts) -> None:
        self._hosts = hosts
        self._received = b""
        self._path = ""

    def connection_made(self, transport: Any) -> None:
        self._transport: asyncio.Transport = transport
        self._address: str = transport.get_extra_info("sockname")[0]
        self._port: int = transport.get_extra_info("peername")[1]

    def connection_lost(self, _: Exception | None) -> None:
        self._end()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._path:
            self._answer()

    def _answer(self) -> None:
        head, end, rest = self._received.partition(_END_OF_HEAD)
        if end:
            self._received = rest
            self._path = head.split(b" ", 2)[1].decode("latin-1")
            self._hosts.log(self._address, self._path, self._port, True)
            self._play(self._hosts.play(self._path))

    def _play(self, actions: Iterator[Action]) -> None:
        for action in actions:
            if self._transport.is_closing():
                return
            match action:
                case bytes():
                    self._transport.write(action)
                case Repeat(content, times):
                    self._transport.write(content * times)
                case Pause(seconds):
                    if seconds < FOREVER:
                        asyncio.get_running_loop().call_later(seconds, self._play, actions)
                    return
                case End(reset):
                    (self._transport.abort if reset else self._transport.close)()
                    return
                case _:
                    raise TypeError(f"{action} cannot wait for another process")
        self._end()
        self._answer()

    def _end(self) -> None:
        path, self._path = self._path, ""
        if path:
            self._hosts.log(self._address, path, self._port, False)
