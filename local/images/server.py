"""A server of images on this machine that answers as the servers of real stores do: well, badly or not at all.

It serves the demo, the tests and the benchmarks. What a path answers is an `Answer`, which describes a good response
together with everything that goes wrong with it; the functions behind it name the usual cases::

    with ImageServer() as server:
        good = server.add("/a.jpg", picture)
        flaky = server.script("/b.jpg", unavailable(retry_after=1), reset_after(picture, 5000), ok(picture))
"""

import contextlib
import gzip
import math
import mimetypes
import selectors
import socket
import struct
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from http import HTTPStatus
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import unquote

DEFAULT_TYPE: Final = "application/octet-stream"
FOREVER: Final = math.inf
_PIECE: Final = 256 * 1024
_MAX_HEAD: Final = 64 * 1024
_LOOK_AGAIN_SECONDS: Final = 0.05
# Pictures that mimetypes of some Python or system does not know.
_TYPES: Final = {".webp": "image/webp", ".avif": "image/avif", ".bmp": "image/bmp", ".mpo": "image/jpeg"}


class Framing(Enum):
    """How the client learns where a body ends."""

    LENGTH = "a Content-Length"
    CHUNKED = "chunks"
    CLOSE = "the end of the connection"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One response, good as it stands, and what is wrong with it.

    Parameters
    ----------
    body
        What is served. It is sent as it is, so it agrees with a Content-Encoding among the headers.
    padded_to
        Bytes that the body grows to with zeros, made while they are sent; how a body is endless.
    status, content_type, headers
        The head. A header may be repeated.
    framing
        How the end of the body is shown.
    declared
        A Content-Length that is not the true one.
    wait
        Seconds before the first byte of the head.
    until
        An event that the first byte of the head waits for, before `wait`.
    silent
        Send nothing at all, not even a head, and end the connection after `wait`.
    stall_at, stall
        Where in the body a pause is made, in bytes, and how long it is, in seconds.
    piece, pause
        Bytes sent at once, and seconds between them.
    cut_at
        Bytes of the body after which the connection ends.
    reset
        End the connection by a reset, as a server that crashed does, rather than in order.
    """

    body: bytes = b""
    padded_to: int = 0
    status: int = 200
    content_type: str | None = DEFAULT_TYPE
    headers: tuple[tuple[str, str], ...] = ()
    framing: Framing = Framing.LENGTH
    declared: int | None = None
    wait: float = 0.0
    until: threading.Event | None = None
    silent: bool = False
    stall_at: int | None = None
    stall: float = 0.0
    piece: int = _PIECE
    pause: float = 0.0
    cut_at: int | None = None
    reset: bool = False

    @property
    def size(self) -> int:
        """Bytes of the whole body."""
        return max(len(self.body), self.padded_to)

    @property
    def ends_connection(self) -> bool:
        """Whether nothing may follow on the same connection, announced or not."""
        return (
            self.reset
            or self.cut_at is not None
            or self.framing is Framing.CLOSE
            or (self.declared is not None and self.declared != self.size)
        )

    def slice(self, start: int, stop: int) -> bytes:
        """Return the bytes of the body between two places."""
        return self.body[start:stop].ljust(stop - start, b"\0")

    def head(self, *, close: bool) -> bytes:
        """Return the status line and the headers."""
        try:
            phrase = HTTPStatus(self.status).phrase
        except ValueError:
            phrase = "Unknown"
        lines = [f"HTTP/1.1 {self.status} {phrase}"]
        if self.content_type is not None:
            lines.append(f"Content-Type: {self.content_type}")
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.framing is Framing.CHUNKED:
            lines.append("Transfer-Encoding: chunked")
        elif self.framing is Framing.LENGTH:
            lines.append(f"Content-Length: {self.size if self.declared is None else self.declared}")
        if close:
            lines.append("Connection: close")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


def ok(body: bytes, content_type: str = DEFAULT_TYPE) -> Answer:
    """Return the body, whole."""
    return Answer(body=body, content_type=content_type)


def failing(status: int, body: bytes = b"") -> Answer:
    """Answer with a status such as 404."""
    return Answer(status=status, body=body, content_type="text/plain")


def unavailable(status: int = 503, *, retry_after: int | str | None = None) -> Answer:
    """Answer 503, or 429, and say in seconds or as an HTTP date when to come again."""
    headers = () if retry_after is None else (("Retry-After", str(retry_after)),)
    return Answer(status=status, content_type="text/plain", headers=headers)


def redirect(location: str, status: int = 302, *, body: bytes = b"") -> Answer:
    """Point to another place: a path of this server, a URL of any scheme, or the path itself for a loop."""
    return Answer(status=status, headers=(("Location", location),), body=body, content_type="text/html")


def html(text: str = "<!doctype html><title>Sign in</title><p>Please sign in.") -> Answer:
    """Answer 200 with a page where a picture should be."""
    return Answer(body=text.encode(), content_type="text/html; charset=utf-8")


def stalled(body: bytes = b"", *, seconds: float = FOREVER) -> Answer:
    """Send nothing for some seconds, or until one side gives up; then the body, whole."""
    return Answer(body=body, wait=seconds)


def held(body: bytes, until: threading.Event) -> Answer:
    """Send nothing until an event has happened; then the body, whole."""
    return Answer(body=body, until=until)


def stalled_after(body: bytes, count: int, *, seconds: float = FOREVER) -> Answer:
    """Send some bytes of the body, pause, and send the rest."""
    return Answer(body=body, stall_at=count, stall=seconds)


def slow(body: bytes, *, piece: int = 1, pause: float = 0.01) -> Answer:
    """Send the body in small pieces, with a pause before each one but the first."""
    return Answer(body=body, piece=piece, pause=pause)


def reset_after(body: bytes, count: int) -> Answer:
    """Reset the connection after some bytes of the body."""
    return Answer(body=body, cut_at=count, reset=True)


def reset_at_once() -> Answer:
    """Reset the connection without a byte of an answer."""
    return Answer(silent=True, reset=True)


def hung_up() -> Answer:
    """End the connection in order, without a byte of an answer."""
    return Answer(silent=True)


def cut_after(body: bytes, count: int, *, framing: Framing = Framing.LENGTH) -> Answer:
    """End the connection in order after some bytes of the body; with `Framing.CLOSE` no header gives it away."""
    return Answer(body=body, cut_at=count, framing=framing)


def declaring(body: bytes, length: int) -> Answer:
    """Declare a Content-Length that is not the body's."""
    return Answer(body=body, declared=length)


def close_delimited(body: bytes) -> Answer:
    """Show the end of the body by the end of the connection alone."""
    return Answer(body=body, framing=Framing.CLOSE)


def chunked(body: bytes, *, piece: int = 4096) -> Answer:
    """Send the body in chunks."""
    return Answer(body=body, framing=Framing.CHUNKED, piece=piece)


def endless(body: bytes = b"", *, cap: int = 1 << 30, framing: Framing = Framing.CLOSE) -> Answer:
    """Send the body and then zeros, until the client hangs up or the cap is reached."""
    return Answer(body=body, padded_to=cap, framing=framing)


def compressed(body: bytes) -> Answer:
    """Send the body with a Content-Encoding of gzip, asked for or not."""
    return Answer(body=gzip.compress(body, 6, mtime=0), headers=(("Content-Encoding", "gzip"),))


def many_headers(body: bytes, count: int = 5000) -> Answer:
    """Send some thousands of headers before the body."""
    return Answer(body=body, headers=tuple((f"X-Filler-{number}", "filler") for number in range(count)))


@dataclass(frozen=True, slots=True)
class Request:
    """One request, as the server's log keeps it.

    Parameters
    ----------
    method, target
        As the client sent them; the target holds the query.
    headers
        By their names in lower case.
    time
        When it was read, in seconds of `time.monotonic`.
    status
        What it was answered; None when no head was sent, or not yet.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    time: float
    status: int | None

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]


@dataclass(slots=True)
class _Script:
    """The answers of one path; the last one is for every later request."""

    answers: tuple[Answer, ...]
    given: int = 0

    def next(self) -> Answer:
        answer = self.answers[min(self.given, len(self.answers) - 1)]
        self.given += 1
        return answer


@dataclass(slots=True)
class _Log:
    """The requests in the order of their arrival, and whoever waits for one."""

    requests: list[Request] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)


class ImageServer:
    """An HTTP/1.1 server on 127.0.0.1 with a thread for each connection; a context manager.

    A path answers what `add` or `script` gave it, with its query if that was given one, else without; after that, a
    file of the folder; then 404. Leaving the context ends every connection, whatever its thread is waiting for.

    Parameters
    ----------
    folder
        Files that are served under their names.
    port
        A port to listen on; 0 takes a free one.
    """

    def __init__(self, folder: Path | None = None, *, port: int = 0) -> None:
        self._folder = None if folder is None else folder.resolve()
        self._scripts: dict[str, _Script] = {}
        self._log = _Log()
        # One lock for the scripts, the connections and whether the server is ending.
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._connections: dict[socket.socket, threading.Thread] = {}
        self._accepted = 0
        self._listener = socket.create_server(("127.0.0.1", port), backlog=1024)
        self.port: int = self._listener.getsockname()[1]
        self._waker, self._wakened = socket.socketpair()
        self._acceptor = threading.Thread(target=self._accept, name=f"image-server-{self.port}", daemon=True)

    def __enter__(self) -> Self:
        self._acceptor.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._ending.set()
        self._waker.send(b"x")
        self._acceptor.join()
        with self._lock:
            threads = list(self._connections.values())
            for connection in self._connections:
                # Wakes the thread from whatever it waits for; the thread closes the socket.
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
        for end in (self._listener, self._waker, self._wakened):
            end.close()

    # ------------------------------------------------------------------ what is served

    def url(self, path: str = "/") -> str:
        """Return the URL of a path, which starts with a slash."""
        return f"http://127.0.0.1:{self.port}{path}"

    def add(self, path: str, body: bytes, *, content_type: str | None = None) -> str:
        """Serve a body under a path.

        Parameters
        ----------
        path
            Starts with a slash; with a query, it answers that query alone.
        body
            What is served.
        content_type
            The Content-Type; by default the one of the path's suffix.

        Returns
        -------
        str
            The URL.
        """
        return self.script(path, ok(body, content_type or _type_of(path)))

    def script(self, path: str, *answers: Answer) -> str:
        """Answer the first request for a path with the first answer, and so on; the last answer stays.

        Returns
        -------
        str
            The URL.
        """
        if not answers:
            raise ValueError("a script needs an answer")
        with self._lock:
            self._scripts[path] = _Script(answers)
        return self.url(path)

    def redirects(self, path: str, hops: int, target: str, *, status: int = 302) -> str:
        """Lead from a path to a target over some redirects, at least one.

        Returns
        -------
        str
            The URL of the first one.
        """
        names = [path, *(f"{path}/{hop}" for hop in range(1, hops)), target]
        for name, following in pairwise(names):
            self.script(name, redirect(following, status))
        return self.url(path)

    # ------------------------------------------------------------------ what was asked

    @property
    def requests(self) -> list[Request]:
        """The requests so far, in the order of their arrival."""
        with self._log.changed:
            return list(self._log.requests)

    def requests_of(self, path: str) -> list[Request]:
        """Return the requests for a path, whatever their query."""
        return [request for request in self.requests if request.path == path]

    def wait_for_requests(self, count: int, *, path: str | None = None, timeout: float = 10.0) -> bool:
        """Wait until some requests, for one path or for any, have come; return whether they have in time."""
        with self._log.changed:
            return self._log.changed.wait_for(
                lambda: sum(path in (None, request.path) for request in self._log.requests) >= count, timeout
            )

    @property
    def accepted(self) -> int:
        """How many connections were made so far."""
        return self._accepted

    @property
    def open_connections(self) -> int:
        """How many connections are open now."""
        with self._lock:
            return len(self._connections)

    # ------------------------------------------------------------------ connections

    def _accept(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._wakened, selectors.EVENT_READ)
            while True:
                selector.select()
                if self._ending.is_set():
                    return
                try:
                    connection, _ = self._listener.accept()
                except OSError:
                    # The client has gone between its coming and now, or files ran out for a moment.
                    continue
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                with self._lock:
                    self._connections[connection] = thread
                self._accepted += 1
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            # The client may go at any moment: that ends its connection and nothing else.
            with contextlib.suppress(OSError):
                rest = b""
                while (received := _receive_head(connection, rest)) is not None:
                    head, rest = received
                    if not self._respond(connection, head):
                        break
        finally:
            with self._lock:
                del self._connections[connection]
            connection.close()

    def _respond(self, connection: socket.socket, head: bytes) -> bool:
        """Answer one request; return whether the connection can take another."""
        first, *lines = head.decode("latin-1").split("\r\n")
        method, _, rest = first.partition(" ")
        target, _, version = rest.partition(" ")
        pairs = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        path = target.partition("?")[0]

        answer: Answer | None = None
        file: Path | None = None
        if method not in {"GET", "HEAD"}:
            # What the request carries behind its head is never read, so nothing can follow it.
            answer = Answer(status=405, headers=(("Allow", "GET, HEAD"),), framing=Framing.CLOSE)
        else:
            answer = self._scripted(target, path)
            file = self._file(path) if answer is None else None
            if answer is None and file is None:
                answer = failing(404, b"There is no such file.\n")

        status = 200 if answer is None else None if answer.silent else answer.status
        with self._log.changed:
            self._log.requests.append(Request(method, target, headers, time.monotonic(), status))
            self._log.changed.notify_all()

        close = version != "HTTP/1.1" or headers.get("connection", "").lower() == "close"
        if file is not None:
            _send_file(connection, file, close=close, with_body=method == "GET")
            return not close
        assert answer is not None
        kept = self._send(connection, answer, close=close, with_body=method == "GET")
        if answer.reset:
            # Lingering for no time makes the close a reset.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return kept

    def _scripted(self, target: str, path: str) -> Answer | None:
        with self._lock:
            script = self._scripts.get(target) or self._scripts.get(path)
            return None if script is None else script.next()

    def _file(self, path: str) -> Path | None:
        if self._folder is None:
            return None
        try:
            file = (self._folder / unquote(path).lstrip("/")).resolve()
            return file if file.is_relative_to(self._folder) and file.is_file() else None
        except (OSError, ValueError):
            # No name of a file: too long, or with a NUL in it.
            return None

    def _send(self, connection: socket.socket, answer: Answer, *, close: bool, with_body: bool) -> bool:
        """Play an answer; return whether the connection can take another request."""
        if answer.until and not self._pause_until(connection, answer.until):
            return False
        if not self._pause(connection, answer.wait) or answer.silent:
            return False
        # A server that breaks off has not announced it.
        head = answer.head(close=close or answer.framing is Framing.CLOSE)
        close = close or answer.ends_connection
        if not with_body:
            connection.sendall(head)
            return not close
        is_chunked = answer.framing is Framing.CHUNKED
        end = answer.size if answer.cut_at is None else min(answer.size, answer.cut_at)
        stall_at = -1 if answer.stall_at is None else answer.stall_at
        place = 0
        while True:
            if place == stall_at:
                # The head goes first: a stall in the body must not look like one before it.
                connection.sendall(head)
                head = b""
                if not self._pause(connection, answer.stall):
                    return False
            if place >= end:
                break
            stop = min(end, place + answer.piece)
            if place < stall_at < stop:
                stop = stall_at
            piece = answer.slice(place, stop)
            if is_chunked:
                piece = b"%x\r\n%b\r\n" % (len(piece), piece)
            if place and answer.pause and not self._pause(connection, answer.pause):
                return False
            connection.sendall(head + piece if head else piece)
            head = b""
            place = stop
        if is_chunked and answer.cut_at is None:
            connection.sendall(head + b"0\r\n\r\n")
        elif head:
            connection.sendall(head)
        return not close

    def _pause(self, connection: socket.socket, seconds: float) -> bool:
        """Wait; return False at once when the client hangs up or the server ends."""
        if seconds <= 0:
            return True
        deadline = time.monotonic() + seconds
        connection.settimeout(None if seconds == FOREVER else seconds)
        try:
            # Nothing comes while a client waits for its answer, so what can be read is the end of the connection.
            if not connection.recv(1, socket.MSG_PEEK):
                return False
        except TimeoutError:
            return True
        finally:
            connection.settimeout(None)
        # It has sent its next request already.
        remaining = None if seconds == FOREVER else max(0.0, deadline - time.monotonic())
        return not self._ending.wait(remaining)

    def _pause_until(self, connection: socket.socket, event: threading.Event) -> bool:
        """Wait for an event; return False soon after the client hangs up or the server ends."""
        while not event.wait(_LOOK_AGAIN_SECONDS):
            if not self._pause(connection, 0.001):
                return False
        return True


def _receive_head(connection: socket.socket, received: bytes) -> tuple[bytes, bytes] | None:
    """Read to the end of a request's head; return it and what follows, or None when the client is done."""
    while b"\r\n\r\n" not in received:
        data = connection.recv(_MAX_HEAD)
        if not data or len(received) > _MAX_HEAD:
            return None
        received += data
    head, _, rest = received.partition(b"\r\n\r\n")
    return head, rest


def _send_file(connection: socket.socket, file: Path, *, close: bool, with_body: bool) -> None:
    with file.open("rb") as content:
        size = file.stat().st_size
        head = Answer(content_type=_type_of(file.name), padded_to=size).head(close=close)
        connection.sendall(head)
        if with_body and size:
            connection.sendfile(content, count=size)


def _type_of(path: str) -> str:
    suffix = Path(path.partition("?")[0]).suffix.lower()
    return _TYPES.get(suffix) or mimetypes.types_map.get(suffix) or DEFAULT_TYPE
