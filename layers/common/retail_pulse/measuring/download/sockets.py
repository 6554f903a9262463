"""Sockets that respect their thread's deadline.

A socket's timeout applies to one read or write, so a server that sends a byte now and then never exceeds it. These
sockets also check the deadline before each call.
"""

import socket
import ssl
from typing import Any

from retail_pulse.measuring.deadline import seconds_left


class _DeadlineMixin:
    """Limits the socket's own timeout to what is left of the deadline, for each read and write."""

    _own_timeout: float | None = None

    def settimeout(self, value: float | None) -> None:
        self._own_timeout = value
        super().settimeout(value)  # type: ignore[misc]  # mixed into sockets

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        super().settimeout(seconds_left(self._own_timeout))  # type: ignore[misc]
        return super().recv_into(*args, **kwargs)  # type: ignore[misc, no-any-return]

    def send(self, *args: Any, **kwargs: Any) -> int:
        super().settimeout(seconds_left(self._own_timeout))  # type: ignore[misc]
        return super().send(*args, **kwargs)  # type: ignore[misc, no-any-return]

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        # One timeout for the whole call. A TLS socket calls `send` for each part.
        super().settimeout(seconds_left(self._own_timeout))  # type: ignore[misc]
        super().sendall(*args, **kwargs)  # type: ignore[misc]


class DeadlineSocket(_DeadlineMixin, socket.socket):
    """A TCP socket that respects its thread's deadline."""


class DeadlineTLSSocket(_DeadlineMixin, ssl.SSLSocket):
    """A TLS socket that respects its thread's deadline, for `ssl.SSLContext.sslsocket_class`."""

    def do_handshake(self, block: bool = False) -> None:
        """Perform the TLS handshake within what is left of the deadline."""
        super().settimeout(seconds_left(self.gettimeout()))
        super().do_handshake(block)
