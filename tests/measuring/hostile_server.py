"""A server on 127.0.0.1 that sends what no library would let a server send: bytes, as they are written here."""

import contextlib
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

from local.images.pictures import Format, make_image
from retail_pulse.measuring.download.policy import CallPolicy
from retail_pulse.measuring.fetch import Fetcher, FetchLimits

PICTURE = make_image(Format.PNG, 20, 27)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n"
# Time enough for everything that ends by itself, and hardly any for what does not.
PATIENT = FetchLimits(10, 10, 20, 10**6, 10**4, 5)
HASTY = FetchLimits(0.4, 0.4, 0.4, 10**6, 10**4, 5)
LOOPBACK = CallPolicy([ipaddress.ip_network("127.0.0.0/8")], [range(1, 65536)])

Part = bytes | Iterable[bytes]


class HostileServer:
    """Says its lines to everybody who connects, whatever is asked; a context manager.

    Parameters
    ----------
    parts
        What is sent after the request's head, bytes or many of them; the connection is closed behind them.
    pause
        Seconds before each of the many.
    tls
        Wraps the connections; None for none.
    reads_first
        Whether a request is waited for.
    """

    def __init__(
        self, *parts: Part, pause: float = 0.0, tls: ssl.SSLContext | None = None, reads_first: bool = True
    ) -> None:
        self._parts = parts
        self._pause = pause
        self._tls = tls
        self._reads_first = reads_first
        self._ending = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._connections: list[socket.socket] = []
        self.heads: list[bytes] = []
        self.sent_bytes = 0

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        # Wakes the acceptor.
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._threads[0].join()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join()
        self._listener.close()

    @property
    def url(self) -> str:
        """The server's URL; it answers every path alike."""
        return f"{'http' if self._tls is None else 'https'}://127.0.0.1:{self.port}/a.png"

    def _start(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self._ending.is_set():
                connection.close()
                return
            self._connections.append(connection)
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        # The client may go at any moment, and refuse the certificate.
        with contextlib.suppress(OSError), connection:
            if self._tls is None:
                self._play(connection)
            else:
                with self._tls.wrap_socket(connection, server_side=True) as wrapped:
                    self._play(wrapped)

    def _play(self, connection: socket.socket) -> None:
        head = b""
        while self._reads_first and b"\r\n\r\n" not in head:
            data = connection.recv(65536)
            if not data:
                return
            head += data
        self.heads.append(head)
        for part in self._parts:
            for piece in (part,) if isinstance(part, bytes) else part:
                if not isinstance(part, bytes) and self._pause and self._ending.wait(self._pause):
                    return
                connection.sendall(piece)
                self.sent_bytes += len(piece)
        # In order: what is not read yet would turn the end into a reset.
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass


def forever(piece: bytes, cap_bytes: int = 1 << 28) -> Iterator[bytes]:
    """Repeat a piece until the client hangs up, or a cap far beyond every limit is reached."""
    for _ in range(cap_bytes // len(piece)):
        yield piece


def one_by_one(content: bytes) -> list[bytes]:
    """Split into single bytes."""
    return [bytes([byte]) for byte in content]


def fetcher(limits: FetchLimits = PATIENT) -> Fetcher:
    """Return a fetcher that may call this machine."""
    return Fetcher(limits, LOOPBACK, 1)
