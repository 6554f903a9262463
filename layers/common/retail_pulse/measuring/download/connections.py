"""Connections to allowed addresses only: the port, the host name and the address are checked where the socket is made.

Checking a name before the request would leave a gap in which its address may change (DNS rebinding). Here every
connection is checked, and so every redirect, however a URL was parsed. The name is resolved once per connection, and
all of its addresses must be allowed. The URL, the Host header, SNI and the pool's key keep the name.
"""

import socket
import ssl
from contextlib import ExitStack

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


class Connector:
    """Makes connections to allowed addresses.

    Parameters
    ----------
    policy
        Which servers may be called.
    connect_seconds
        Maximum time to connect to one address, and of the TLS handshake.
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
        # It verifies certificates and host names, by TLS 1.2 or later.
        self._context = create_urllib3_context()
        self._context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        self._context.set_alpn_protocols(["http/1.1"])
        self._context.sslsocket_class = DeadlineTLSSocket

    def connected(self, target: Target) -> Stream:
        """Return a new connection to the server of a URL.

        Raises
        ------
        MeasuringError
            The server may not be called, its name cannot be resolved, or none of its addresses accepts a connection.
        OSError
            The TLS handshake failed, or this machine is short of descriptors.
        """
        connection = self._connection(target.host, target.port)
        try:
            if target.scheme == "https":
                # Certificates have names without the dot of a full one.
                name = target.host.rstrip(".")
                connection = self._context.wrap_socket(connection, server_hostname=name)
            return Stream(connection, self._read_seconds)
        except BaseException:
            connection.close()
            raise

    def _connection(self, host: str, port: int) -> socket.socket:
        self._policy.check_host(host, port)
        resolved = self._policy.check_answers(host, _resolve(host, port))
        for info in resolved[:_MAX_CONNECT_ATTEMPTS]:
            try:
                return self._connect(host, info)
            except OSError as error:
                if is_own_shortage(error):
                    raise
                failure = error
        if isinstance(failure, TimeoutError):
            raise MeasuringError(FailureCode.TIMEOUT, f"connecting to {host} timed out")
        message = f"cannot connect to {host}: {failure.strerror or failure}"
        raise MeasuringError(FailureCode.CONNECT_FAILED, message)

    def _connect(self, host: str, info: AddressInfo) -> socket.socket:
        family, kind, protocol, _, address = info
        connection = socket.socket(family, kind, protocol)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.settimeout(seconds_left(self._connect_seconds))
            connection.connect(address)
            # The peer may differ from the address: routing rules can redirect a connection.
            self._policy.check_address(host, str(connection.getpeername()[0]))
        except BaseException:
            connection.close()
            raise
        return connection


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
