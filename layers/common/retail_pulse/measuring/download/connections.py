"""urllib3 connections that check the port, the host name and the address where the socket is made.

Checking a name before the request would leave a gap in which its address may change (DNS rebinding). Here every
connection is checked, and so every redirect, however a URL was parsed. The name is resolved once per connection, and
all of its addresses must be allowed. The URL, the Host header, SNI and the pool's key keep the name.

`_new_conn` is an internal of urllib3, which is pinned for that reason.
"""

import socket
import ssl
from contextlib import ExitStack

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.ssl_ import create_urllib3_context

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.measuring.deadline import seconds_left
from retail_pulse.measuring.download.errors import is_own_shortage
from retail_pulse.measuring.download.policy import AddressInfo, CallPolicy
from retail_pulse.measuring.download.sockets import DeadlineTLSSocket, Stream
from retail_pulse.measuring.download.urls import Target

# A name may have any number of addresses, and each attempt takes up to the connect timeout.
_MAX_CONNECT_ATTEMPTS = 4
# What the C library opens at once to resolve a name: a file of its settings and a socket for each of two queries.
_RESOLVER_DESCRIPTORS = 3


class GuardedConnection(HTTPConnection):
    """A connection that is made to allowed addresses only; once connected, `stream` sends and receives."""

    # Set by `Connector`.
    policy: CallPolicy
    read_seconds: float

    stream: Stream
    _dns_host: str

    def connect(self) -> None:
        """Connect within the limits of time."""
        super().connect()
        self.stream = Stream(self.sock, self.read_seconds)

    @property
    def is_quiet(self) -> bool:
        """Whether nothing has arrived that was not read; the end of the connection counts too."""
        return self.stream.is_quiet

    def _new_conn(self) -> socket.socket:
        self.policy.check_host(self._dns_host, self.port)
        resolved = self.policy.check_answers(self._dns_host, _resolve(self._dns_host, self.port))
        for info in resolved[:_MAX_CONNECT_ATTEMPTS]:
            try:
                return self._connect(info)
            except OSError as error:
                if is_own_shortage(error):
                    raise
                failure = error
        if isinstance(failure, TimeoutError):
            raise MeasuringError(FailureCode.TIMEOUT, f"connecting to {self._dns_host} timed out")
        message = f"cannot connect to {self._dns_host}: {failure.strerror or failure}"
        raise MeasuringError(FailureCode.CONNECT_FAILED, message)

    def _connect(self, info: AddressInfo) -> socket.socket:
        family, kind, protocol, _, address = info
        connection = socket.socket(family, kind, protocol)
        try:
            for option in self.socket_options or ():
                connection.setsockopt(*option)
            connection.settimeout(seconds_left(self.timeout))
            connection.connect(address)
            # The peer may differ from the address: routing rules can redirect a connection.
            self.policy.check_address(self._dns_host, str(connection.getpeername()[0]))
        except BaseException:
            connection.close()
            raise
        return connection


class GuardedTLSConnection(GuardedConnection, HTTPSConnection):
    """The same over TLS."""


def _resolve(host: str, port: int) -> list[AddressInfo]:
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        _check_descriptors()
        if error.errno == socket.EAI_MEMORY:
            raise MemoryError from error
        message = f"cannot resolve {host}: {error.strerror}"
        raise MeasuringError(FailureCode.DNS_FAILED, message, passing=error.errno == socket.EAI_AGAIN) from error
    except (UnicodeError, ValueError) as error:
        # Such as a label that is too long, or an invalid zone.
        raise MeasuringError(FailureCode.INVALID_URL, f"invalid host name: {host!r}") from error


def _check_descriptors() -> None:
    """Raise `OSError` if descriptors are short: the C library then says that a name does not exist."""
    with ExitStack() as opened:
        for _ in range(_RESOLVER_DESCRIPTORS):
            opened.enter_context(socket.socket())


class Connector:
    """Makes guarded connections.

    Parameters
    ----------
    policy
        Which servers may be called.
    connect_seconds
        Maximum time to connect to one address.
    read_seconds
        Maximum time without a byte from the server.

    Notes
    -----
    One TLS context serves every host: loading the certificate bundle takes 20 ms of CPU.
    """

    def __init__(self, policy: CallPolicy, connect_seconds: float, read_seconds: float) -> None:
        self._policy = policy
        self._connect_seconds = connect_seconds
        self._read_seconds = read_seconds
        self._context = create_urllib3_context()
        self._context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        self._context.sslsocket_class = DeadlineTLSSocket

    def connected(self, target: Target) -> GuardedConnection:
        """Return a new connection to the server of a URL."""
        host, port, seconds = target.host, target.port, self._connect_seconds
        connection = (
            GuardedTLSConnection(host, port, timeout=seconds, ssl_context=self._context)
            if target.scheme == "https"
            else GuardedConnection(host, port, timeout=seconds)
        )
        connection.policy = self._policy
        connection.read_seconds = self._read_seconds
        try:
            connection.connect()
        except BaseException:
            connection.close()
            raise
        return connection
