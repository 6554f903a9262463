"""An image server on this machine that answers as servers of real stores do: well, badly or not at all.

It serves the demo, the tests and the benchmarks. An answer is a list of actions, which the server plays in order. Bytes
are sent as they are, so anything can be sent; other actions pause, wait, or end the connection. The functions below
return the usual answers::

    with ImageServer() as server:
        good = server.add("/a.jpg", picture)
        flaky = server.script("/b.jpg", unavailable(retry_after=1), reset_after(picture, 5000), ok(picture))
        broken = server.script("/c.jpg", [head(1000), Pause(0.5), picture[:10], End()])
"""

import contextlib
import socket
import ssl
import struct
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from http.client import responses
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any, Final, Self, TypeAlias
from urllib.parse import quote

FOREVER: Final = threading.TIMEOUT_MAX
_DEFAULT_TYPE: Final = "application/octet-stream"
_TYPES: Final = {"jpg": "image/jpeg", "mpo": "image/jpeg"} | {
    suffix: f"image/{suffix}" for suffix in ("jpeg", "png", "gif", "bmp", "tiff", "webp", "avif")
}
_END_OF_HEAD: Final = b"\r\n\r\n"
# How often the acceptor and a thread that waits for an event check whether the server is ending.
_CHECK_SECONDS: Final = 0.01


@dataclass(frozen=True, slots=True)
class Repeat:
    """Send the same bytes many times."""

    content: bytes
    times: int


@dataclass(frozen=True, slots=True)
class Pause:
    """Send nothing for some seconds, or until the server ends."""

    seconds: float = FOREVER


@dataclass(frozen=True, slots=True)
class WaitFor:
    """Send nothing until an event has happened, or the server ends."""

    event: threading.Event


@dataclass(frozen=True, slots=True)
class End:
    """End the connection, in order or by a reset as a server that crashed does."""

    reset: bool = False


Action: TypeAlias = bytes | Repeat | Pause | WaitFor | End
Answer: TypeAlias = Iterable[Action]


def head(length: int, content_type: str = _DEFAULT_TYPE, status: int = 200, *headers: tuple[str, str]) -> bytes:
    """Return a status line and headers, for a body of some length."""
    fields = [("Content-Type", content_type), ("Content-Length", str(length)), *headers]
    lines = [f"HTTP/1.1 {status} {responses.get(status, 'Unknown')}", *(f"{name}: {value}" for name, value in fields)]
    return "\r\n".join(lines).encode("latin-1") + _END_OF_HEAD


def in_pieces(content: bytes, size: int = 1, pause: float = 0.01) -> list[Action]:
    """Send content in pieces, with a pause before each."""
    pieces = [content[start : start + size] for start in range(0, len(content), size)]
    return [action for piece in pieces for action in (Pause(pause), piece)]


def ok(body: bytes, content_type: str = _DEFAULT_TYPE) -> Answer:
    """Send the whole body."""
    return [head(len(body), content_type) + body]


def failing(status: int, body: bytes = b"") -> Answer:
    """Answer with a status such as 404."""
    return [head(len(body), "text/plain", status) + body]


def unavailable(status: int = 503, *, retry_after: int | str | None = None) -> Answer:
    """Answer 503 or 429, and say in seconds or as an HTTP date when to retry."""
    headers = [] if retry_after is None else [("Retry-After", str(retry_after))]
    return [head(0, "text/plain", status, *headers)]


def html(text: str = "<!doctype html><title>Sign in</title><p>Please sign in.") -> Answer:
    """Answer 200 with a page where a picture should be."""
    return ok(text.encode(), "text/html; charset=utf-8")


def stalled(body: bytes = b"", *, seconds: float = FOREVER) -> Answer:
    """Send nothing for some seconds, then the whole body."""
    return [Pause(seconds), *ok(body)]


def held(body: bytes, until: threading.Event) -> Answer:
    """Send nothing until an event has happened, then the whole body."""
    return [WaitFor(until), *ok(body)]


def slow(body: bytes, *, piece: int = 1, pause: float = 0.01) -> Answer:
    """Send the head at once and the body in small pieces."""
    return [head(len(body)), *in_pieces(body, piece, pause)]


def cut_after(body: bytes, count: int) -> Answer:
    """End the connection in order after some bytes of the body."""
    return [head(len(body)) + body[:count], End()]


def reset_after(body: bytes, count: int) -> Answer:
    """Reset the connection after some bytes of the body."""
    return [head(len(body)) + body[:count], End(reset=True)]


def reset_at_once() -> Answer:
    """Reset the connection before the first byte of an answer."""
    return [End(reset=True)]


@dataclass(frozen=True, slots=True)
class Request:
    """One request in the server's log: its target includes the query, its headers' names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]


class ImageServer(ThreadingTCPServer):
    """An HTTP/1.1 server on this machine with a thread for each connection; a context manager.

    A target with a query is served by its own script if there is one, else by that of its path; other paths are 404.
    Leaving the context ends every connection, whatever its thread is waiting for.

    Parameters
    ----------
    folder
        A folder whose files are added under their names.
    host, port
        Where to listen; port 0 takes a free one. The attribute `port` is the one taken.
    tls
        Encrypts every connection; None for plain HTTP.
    greeting
        Is played on every connection before any request.
    """

    allow_reuse_address = True
    request_queue_size = 1024

    def __init__(
        self,
        folder: Path | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        greeting: Answer = (),
    ) -> None:
        super().__init__((host, port), _Connection)
        self.port: int = self.server_address[1]
        self.accepted = 0  # connections so far
        self.greeting = greeting
        self.ending = threading.Event()
        self._base = f"{'https' if tls else 'http'}://{host}:{self.port}"
        self._tls = tls
        # Guards the three below, and announces requests.
        self._changed = threading.Condition()
        self._scripts: dict[str, list[Answer]] = {}
        self._requests: list[Request] = []
        self._connections: set[socket.socket] = set()
        self._acceptor = threading.Thread(target=self.serve_forever, args=(_CHECK_SECONDS,), daemon=True)
        for file in folder.iterdir() if folder else ():
            self.add(f"/{quote(file.name)}", file.read_bytes())

    def __enter__(self) -> Self:
        self._acceptor.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        with self._changed:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        # Only now: an answer must not continue after a pause that is cut short.
        self.ending.set()
        self._acceptor.join()
        self.server_close()

    def url(self, path: str = "/") -> str:
        """Return the URL of a path, which starts with a slash."""
        return self._base + path

    def add(self, path: str, body: bytes) -> str:
        """Serve a body under a path, with the Content-Type of its suffix; return the URL."""
        suffix = path.partition("?")[0].rpartition(".")[2].lower()
        return self.script(path, ok(body, _TYPES.get(suffix, _DEFAULT_TYPE)))

    def script(self, path: str, *answers: Answer) -> str:
        """Answer requests for a path with one answer after the other; the last one stays. Return the URL."""
        if not answers:
            raise ValueError("a script needs an answer")
        with self._changed:
            self._scripts[path] = list(answers)
        return self.url(path)

    def answer(self, request: Request) -> Answer:
        """Log a request and return the answer to it."""
        with self._changed:
            self._requests.append(request)
            self._changed.notify_all()
            answers = self._scripts.get(request.target) or self._scripts.get(request.path)
            if request.method not in {"GET", "HEAD"}:
                # Its body is never read, so no other request can follow.
                return [head(0, "text/plain", 405, ("Allow", "GET, HEAD"), ("Connection", "close")), End()]
            if not answers:
                return failing(404, b"There is no such file.\n")
            return answers.pop(0) if len(answers) > 1 else answers[0]

    @property
    def requests(self) -> list[Request]:
        """The requests so far, in the order of their arrival."""
        with self._changed:
            return list(self._requests)

    def requests_of(self, path: str) -> list[Request]:
        """Return the requests for a path, whatever their query."""
        return [request for request in self.requests if request.path == path]

    def wait_for_requests(self, count: int, *, path: str | None = None, timeout: float = 10.0) -> bool:
        """Wait for a number of requests, for one path or for any; return whether they arrived in time."""
        with self._changed:
            return self._changed.wait_for(
                lambda: sum(path in (None, request.path) for request in self._requests) >= count, timeout
            )

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection, and leave the TLS handshake to its thread."""
        connection, address = super().get_request()
        if self._tls:
            connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        with self._changed:
            self._connections.add(connection)
        self.accepted += 1
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        """End a connection in order."""
        with contextlib.suppress(OSError):
            request.shutdown(socket.SHUT_WR)
            # Bytes that were received and never read would turn the close into a reset.
            while request.recv(65536):
                pass
        with self._changed:
            self._connections.remove(request)
        request.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report an error, but not that a client has gone, which it may do at any moment."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Connection(StreamRequestHandler):
    """One connection."""

    server: ImageServer
    disable_nagle_algorithm = True

    def handle(self) -> None:
        self._is_kept = True
        self._play(self.server.greeting)
        while self._is_kept and (request := self._read_request()):
            answer = self.server.answer(request)
            self._play(_to_end_of_head(answer) if request.method == "HEAD" else answer)

    def _read_request(self) -> Request | None:
        """Read the head of a request; return None when the client sends no other."""
        # By hand: http.server reads headers with the email parser, which halves the number of requests per second.
        words = self.rfile.readline().decode("latin-1").split()
        headers = {}
        while (line := self.rfile.readline().decode("latin-1")).strip():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        if len(words) != 3 or not line:
            return None
        method, target, version = words
        self._is_kept = version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
        return Request(method, target, headers)

    def _play(self, answer: Answer) -> None:
        for action in answer:
            match action:
                case bytes():
                    self.connection.sendall(action)
                case Repeat(content, times):
                    for _ in range(times):
                        self.connection.sendall(content)
                case Pause(seconds):
                    self.server.ending.wait(seconds)
                case WaitFor(event):
                    while not (event.wait(_CHECK_SECONDS) or self.server.ending.is_set()):
                        pass
                case End(reset):
                    self._is_kept = False
                    if reset:
                        # A close that lingers for no time is a reset.
                        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        self.connection.close()
                    return


def _to_end_of_head(answer: Answer) -> Iterator[Action]:
    """Return the answer to a HEAD request."""
    for action in answer:
        if isinstance(action, bytes) and _END_OF_HEAD in action:
            yield action.partition(_END_OF_HEAD)[0] + _END_OF_HEAD
            return
        yield action
