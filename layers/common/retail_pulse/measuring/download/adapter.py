"""Sends requests for images over guarded connections: a transport adapter of requests, used without its session."""

import ssl
from contextlib import suppress
from functools import partial
from typing import Any

from requests import PreparedRequest, Response
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

from retail_pulse.measuring.download.connections import Connector
from retail_pulse.measuring.download.heads import read_head
from retail_pulse.measuring.download.pool import IdleConnections
from retail_pulse.measuring.download.responses import Body
from retail_pulse.measuring.download.sockets import Stream
from retail_pulse.measuring.download.urls import Target

# Client, scheme, host and port: only such requests share connections.
_Key = tuple[str, str, str, int]


class ImageGet(PreparedRequest):
    """A GET for an image on behalf of a client.

    Preparing it in the way of requests would change the escapes of its URL.
    """

    def __init__(self, client: str, target: Target) -> None:
        super().__init__()
        self.method = "GET"
        self.client = client
        self.target = target


class ImageAdapter(BaseAdapter):
    """Sends requests for images.

    Parameters
    ----------
    connector
        Makes the connections.
    idle
        Keeps them between requests.
    fields
        The header fields of each request, in addition to Host.
    body_bytes
        Maximum size of a body in bytes, before any decompression.

    Notes
    -----
    A session would merge headers, proxies, cookies and hooks, for a sixth of a small image's CPU. Without one, nothing
    reads proxies, .netrc or certificates from the environment, keeps cookies, or follows redirects.
    """

    def __init__(
        self, connector: Connector, idle: IdleConnections[_Key, Stream], fields: dict[str, str], body_bytes: int
    ) -> None:
        super().__init__()
        self._connector = connector
        self._idle = idle
        self._fields = "".join(f"{name}: {value}\r\n" for name, value in fields.items()) + "\r\n"
        self._body_bytes = body_bytes

    def send(self, request: ImageGet, *_: Any, **__: Any) -> Response:  # type: ignore[override]  # only such requests
        """Send a request, and return the response as soon as its head has arrived.

        The body is `raw`. Closing the response gives the connection back or, if the body was not read, closes it.
        """
        target = request.target
        key = (request.client, target.scheme, target.host, target.port)
        head = f"GET {target.path} HTTP/1.1\r\nHost: {target.host_header}\r\n{self._fields}".encode("ascii")
        connection = self._asked(key, target, head)
        try:
            answer = read_head(connection)
        except BaseException:
            connection.close()
            raise
        response = Response()
        response.request = request
        response.status_code = answer.status
        response.headers = CaseInsensitiveDict(answer.fields)
        response.raw = Body(connection, answer, self._body_bytes, partial(self._end, key, connection))
        return response

    def close(self) -> None:
        """Close all idle connections."""
        self._idle.close_all()

    def _asked(self, key: _Key, target: Target, request: bytes) -> Stream:
        """Return a connection on which an answer to the request has begun to arrive."""
        kept = self._idle.take(key)
        if kept is not None:
            # The server may close a kept connection at any time. A GET may then be repeated (RFC 9110, section 9.2.2).
            with suppress(ConnectionError, ssl.SSLError):
                return _ask(kept, request)
        return _ask(self._connector.connected(target), request)

    def _end(self, key: _Key, connection: Stream, can_follow: bool) -> None:
        if can_follow:
            self._idle.give_back(key, connection)
        else:
            connection.close()


def _ask(connection: Stream, request: bytes) -> Stream:
    try:
        connection.send(request)
        connection.wait_for_answer()
    except BaseException:
        connection.close()
        raise
    return connection
