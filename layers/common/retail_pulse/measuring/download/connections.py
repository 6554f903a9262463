"""Connections to image servers: urllib3's, with a look at the address that the socket is connected to.

Checking a name before the request would leave a gap in which its address may change (DNS rebinding); here the address
is checked where the connection is made, for every connection and so for every redirect. Resolution happens once, and
all of its answers must pass. The URL, the Host header, SNI and the pool's key keep the name. Port and name are looked
at in the same place: no difference between two readings of a URL leads around it.

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

# A name may have any number of addresses; each one tried costs up to the connect timeout.
_MAX_ADDRESSES_TRIED = 4

# It warns of broken headers with the URL, which no log line may hold.
logging.getLogger("urllib3").propagate = False

# Of `getaddrinfo`: family, kind, protocol, canonical name, address.
_Answer = tuple[Any, Any, int, str, tuple[Any, ...]]


class _GuardedMixin:
    """Makes the connection's socket, to an allowed address only."""

    # Set by `GuardedAdapter`, on a subclass of its own.
    policy: CallPolicy

    _dns_host: str
    port: int
    timeout: float | None
    socket_options: Sequence[tuple[int, int, int | bytes]] | None

    def _new_conn(self) -> socket.socket:
        self.policy.check_host(self._dns_host, self.port)
        answers = _resolve(self._dns_host, self.port)
        for *_, address in answers:
            self.policy.check_address(self._dns_host, str(address[0]))
        for answer in answers[:_MAX_ADDRESSES_TRIED]:
            try:
                return self._connect(answer)
            except OSError as error:
                failure = error
        if isinstance(failure, TimeoutError):
            raise MeasuringError(FailureCode.TIMEOUT, f"connecting to {self._dns_host} timed out")
        raise MeasuringError(
            FailureCode.CONNECT_FAILED, f"cannot connect to {self._dns_host}: {failure.strerror or failure}"
        )

    def _connect(self, answer: _Answer) -> socket.socket:
        family, kind, protocol, _, address = answer
        connection = DeadlineSocket(family, kind, protocol)
        try:
            for option in self.socket_options or ():
                connection.setsockopt(*option)
            connection.settimeout(seconds_left(self.timeout))
            connection.connect(address)
            # What counts is who answers; the kernel may have been told to send the connection elsewhere.
            self.policy.check_address(self._dns_host, str(connection.getpeername()[0]))
        except BaseException:
            connection.close()
            raise
        return connection


def _resolve(host: str, port: int) -> list[_Answer]:
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        passing = error.errno == socket.EAI_AGAIN
        raise MeasuringError(
            FailureCode.DNS_FAILED, f"cannot resolve {host}: {error.strerror}", passing=passing
        ) from error
    except (UnicodeError, ValueError) as error:
        # A label that is too long, or a zone that is none.
        raise MeasuringError(FailureCode.INVALID_URL, f"invalid host name: {host!r}") from error


class GuardedAdapter(HTTPAdapter):
    """Sends requests over guarded connections.

    Parameters
    ----------
    policy
        Who may be called.
    body_bytes
        Most bytes of a body, as they come.
    connections
        Threads that use it at once; that many hosts and connections a host are kept.

    Notes
    -----
    One TLS context serves every host: reading the bundle of certificates anew for each costs 20 ms of processor.
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
        """Make the pools with the guarded connections and the one context."""
        self.poolmanager = PoolManager(
            num_pools=connections, maxsize=maxsize, block=block, ssl_context=self._context, cert_reqs="CERT_REQUIRED"
        )
        self.poolmanager.pool_classes_by_scheme = self._pools

    def cert_verify(self, *_: Any) -> None:
        """Leave the pool as it is: the context holds the certificates, and has to be asked to verify only once."""

    def get_connection_with_tls_context(self, request: PreparedRequest, *_: Any, **__: Any) -> HTTPConnectionPool:
        """Find the pool by the URL alone: no proxies are looked for, and no bundle is added to the context.

        Raises
        ------
        MeasuringError
            `invalid_url`: urllib3 could read the URL, and the standard library cannot.
        """
        try:
            parts = urlsplit(request.url or "")
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise MeasuringError(FailureCode.INVALID_URL, "invalid URL") from error
        pool: HTTPConnectionPool = self.poolmanager.connection_from_host(host, port, parts.scheme)
        return pool

    def build_response(self, request: PreparedRequest, raw: Any) -> Response:
        """Return what the fetcher looks at: status, headers, body. Nothing of it is read for cookies.

        The standard library's parser of them takes time in the square of a header's length, 0.14 s for 63 KB.
        """
        response = Response()
        response.status_code = raw.status
        response.headers = CaseInsensitiveDict(raw.headers)
        response.raw = raw
        response.url = request.url or ""
        response.request = request
        return response

    def request_url(self, request: PreparedRequest, _proxies: Any) -> str:
        """Return what the request line names: without proxies the path and the query."""
        return request.path_url
