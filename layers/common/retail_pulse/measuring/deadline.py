"""A total deadline on what a thread does with sockets.

A socket's timeout covers one read or write: a server that sends or takes a byte now and then is never late. These
sockets also look at the deadline of their thread, so that look-up, connecting, TLS, headers and body together have one
limit.
"""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_thread = threading.local()


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Give everything that this thread reads and sends within the block so many seconds in all."""
    _thread.until = time.monotonic() + seconds
    try:
        yield
    finally:
        del _thread.until


def seconds_left(at_most: float | None = None) -> float | None:
    """Return how long a wait may take.

    Parameters
    ----------
    at_most
        Longest wait in seconds; None for no bound of its own.

    Returns
    -------
    float or None
        Seconds, above 0; None where there is neither a bound nor a deadline.

    Raises
    ------
    TimeoutError
        The thread's deadline has passed.
    """
    until: float | None = getattr(_thread, "until", None)
    if until is None:
        return at_most
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError("deadline passed")
    return left if at_most is None else min(left, at_most)


class _DeadlineMixin:
    """Shortens the socket's own timeout to what is left, for each read and write."""

    _own_timeout: float | None = None

    def settimeout(self, value: float | None) -> None:
        self._own_timeout = value
        super().settimeout(value)  # type: ignore[misc]  # the class beside the mixin is a socket

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        super().settimeout(seconds_left(self._own_timeout))  # type: ignore[misc]
        received: int = super().recv_into(*args, **kwargs)  # type: ignore[misc]
        return received

    def send(self, *args: Any, **kwargs: Any) -> int:
        super().settimeout(seconds_left(self._own_timeout))  # type: ignore[misc]
        sent: int = super().send(*args, **kwargs)  # type: ignore[misc]
        return sent

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        # One timeout for the whole of it; a TLS socket calls `send` for each part.
        super().settimeout(seconds_left(self._own_timeout))  # type: ignore[misc]
        super().sendall(*args, **kwargs)  # type: ignore[misc]


class DeadlineSocket(_DeadlineMixin, socket.socket):
    """A TCP socket that keeps its thread's deadline."""


class DeadlineTLSSocket(_DeadlineMixin, ssl.SSLSocket):
    """A TLS socket that keeps its thread's deadline; for `ssl.SSLContext.sslsocket_class`."""

    def do_handshake(self, block: bool = False) -> None:
        """Shake hands within what is left; a single timeout, since the handshake is one call."""
        super().settimeout(seconds_left(self.gettimeout()))
        super().do_handshake(block)
