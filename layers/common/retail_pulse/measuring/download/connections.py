"""urllib3 connections that check the port, the host name and the address where the socket is made.

Checking a name before the request would leave a gap in which its address may change (DNS rebinding). Here every
connection is checked, and so every redirect, however a URL was parsed. The name is resolved once per connection, and
all of its addresses must be allowed. The URL, the Host header, SNI and the pool's key keep the name.

`_new_conn` is an internal of urllib3, which is pinned for that reason.
"""

import logging
import socket
import ssl
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.ssl_ import create_urllib3_context

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.measuring.deadline import seconds_left
from retail_pulse.measuring.download.policy import CallPolicy
from retail_pulse.measuring.download.responses import BoundedResponse
from retail_pulse.measuring.download.sockets import DeadlineSocket, DeadlineTLSSocket

# A name may have any number of addresses, and each attempt takes up to the connect timeout.
_MAX_CONNECT_ATTEMPTS = 4

# It warns of invalid headers with the URL, which must not be logged.
logging.getLogger("urllib3").propagate = False

# As returned by `getaddrinfo`: family, type, protocol, canonical name, address.
_AddressInfo = tuple[Any, Any, int, str, tuple[Any, ...]]


class _GuardedMixin:
    """Connects sockets to allowed addresses only."""

    # Set by `GuardedAdapter` on a subclass.
    policy: CallPolicy

    _dns_host: str
    port: int
    timeout: float | None
    socket_options: Sequence[tuple[int, int, int | bytes]] | None

    def _new_conn(self) -> socket.socket:
        self.policy.check_host(self._dns_host, self.port)
        resolved = _resolve(self._dns_host, self.port)
        for *_, address in resolved:
            self.policy.check_address(self._dns_host, str(address[0]))
        for info in resolved[:_MAX_CONNECT_ATTEMPTS]:
            try:
                return self._connect(info)
            except OSError as error:
                failure = error
        if isinstance(failure, TimeoutError):
            raise MeasuringError(FailureCode.TIMEOUT, f"connecting to {self._dns_host} timed out")
        message = f"cannot connect to {self._dns_host}: {failure.strerror or failure}"
        raise MeasuringError(FailureCode.CONNECT_FAILED, message)

    def _connect(self, info: _AddressInfo) -> socket.socket:
        family, kind, protocol, _, address = info
        connection = DeadlineSocket(family, kind, protocol)
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


def _resolve(host: str, port: int) -> list[_AddressInfo]:
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        message = f"cannot resolve {host}: {error.strerror}"
        raise MeasuringError(FailureCode.DNS_FAILED, message, passing=error.errno == socket.EAI_AGAIN) from error
    except (UnicodeError, ValueError) as error:
        # Such as a label that is too long, or an invalid zone.
        raise MeasuringError(FailureCode.INVALID_URL, f"invalid host name: {host!r}") from error


class GuardedAdapter(HTTPAdapter):
    """Sends requests over guarded connections.

    Parameters
    ----------
    policy
        Which servers may be called.
    body_bytes
        Maximum size of a body in bytes, before any decompression.
    connections
        How many threads use the adapter at once. As many hosts are kept, and as many connections per host.

    Notes
    -----
    One TLS context serves every host: loading the certificate bundle takes 20 ms of CPU.
    """

    def __init__(self, policy: CallPolicy, body_bytes: int, connections: int) -> None:
        response = type("LimitedResponse", (BoundedResponse,), {"max_body_bytes": body_bytes})
        rules = {"policy": policy, "response_class": response}
        plain = type("GuardedHTTPConnection", (_GuardedMixin, HTTPConnection), rules)
        tls = type("GuardedHTTPSConnection", (_GuardedMixin, HTTPSConnection), rules)
        self._pools = {
            "http": type("GuardedHTTPPool", (HTTPConnectionPool,), {"ConnectionCls": plain}),
            "https": type("GuardedHTTPSPool", (HTTPSConnectionPool,), {"ConnectionCls": tls}),
        }
        self._context = create_urllib3_context()
        self._context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        self._context.sslsocket_class = DeadlineTLSSocket
        super().__init__(pool_connections=connections, pool_maxsize=connections, max_retries=0)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **_: Any) -> None:
        """Create the pools, with guarded connections and the shared TLS context."""
        self.poolmanager = PoolManager(
            num_pools=connections, maxsize=maxsize, block=block, ssl_context=self._context, cert_reqs="CERT_REQUIRED"
        )
        self.poolmanager.pool_classes_by_scheme = self._pools

    def cert_verify(self, *_: Any) -> None:
        """Do nothing: the shared TLS context has the certificates and verifies."""

    def get_connection_with_tls_context(self, request: PreparedRequest, *_: Any, **__: Any) -> HTTPConnectionPool:
        """Return the pool for the URL, without proxies or further certificates.

        Raises
        ------
        MeasuringError
            `invalid_url`: urllib3 can parse the URL, but the standard library cannot.
        """
        try:
            parts = urlsplit(request.url or "")
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise MeasuringError(FailureCode.INVALID_URL, "invalid URL") from error
        pool: HTTPConnectionPool = self.poolmanager.connection_from_host(host, port, parts.scheme)
        return pool

    def build_response(self, request: PreparedRequest, raw: Any) -> Response:
        """Return a response with status, headers and body, but without cookies.

        The standard library's cookie parser takes quadratic time in a header's length: 0.14 s for 63 KB.
        """
        response = Response()
        response.status_code = raw.status
        response.headers = CaseInsensitiveDict(raw.headers)
        response.raw = raw
        response.url = request.url or ""
        response.request = request
        return response

    def request_url(self, request: PreparedRequest, _proxies: Any) -> str:
        """Return the target of the request line: path and query, since there are no proxies."""
        return request.path_url
