"""API Gateway in front of the handlers, in this process: a WSGI application for tests that send HTTP requests.

Routes, authorizer and limits are those of the template and of AWS; the handlers get events of payload version 2.0.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from local.emulator.gateway import LAMBDA_BYTES, TEXT_TYPES
from local.emulator.template import Route, Template
from local.lambda_host.context import Context
from local.lambda_host.events import Event, api_event, event

Handler = Callable[[Event, Any], Any]
StartResponse = Callable[[str, list[tuple[str, str]]], object]


class Gateway:
    """A WSGI application.

    Parameters
    ----------
    functions
        Handlers by their function's logical id in the template.

    Attributes
    ----------
    statuses
        What was answered so far, in order.
    """

    def __init__(self, functions: Mapping[str, Handler]) -> None:
        template = Template()
        self._functions = functions
        self._routes = sorted(template.routes(), key=lambda route: "{" in route.key)
        self._authorizers = {authorizer.name: authorizer.function for authorizer in template.authorizers()}
        self.statuses: list[int] = []

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        status, content_type, body = self._answer(environ)
        self.statuses.append(int(status))
        start_response(f"{status} {HTTPStatus(status).phrase}", [("Content-Type", content_type)])
        return [body]

    def _answer(self, environ: dict[str, Any]) -> tuple[int, str, bytes]:
        sent = _event(environ)
        if len(sent.get("body", "")) > LAMBDA_BYTES:
            return _own(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        route = self._route(sent)
        if route is None:
            return _own(HTTPStatus.NOT_FOUND)
        sent["routeKey"] = route.key
        if route.authorizer is not None:
            if not sent["headers"].get("x-api-key"):
                return _own(HTTPStatus.UNAUTHORIZED)
            asked = event("authorize") | {"headers": sent["headers"], "routeKey": route.key}
            found = self._functions[self._authorizers[route.authorizer]](asked, Context())
            if not found["isAuthorized"]:
                return _own(HTTPStatus.FORBIDDEN)
            sent["requestContext"]["authorizer"] = {"lambda": found["context"]}
        answer = self._functions[route.function](sent, Context())
        # What cannot be written as JSON in UTF-8, Lambda could not hand on.
        json.dumps(answer, ensure_ascii=False).encode()
        return answer["statusCode"], answer["headers"]["Content-Type"], answer["body"].encode()

    def _route(self, sent: Event) -> Route | None:
        asked = f"{sent['requestContext']['http']['method']} {sent['rawPath']}"
        for route in self._routes:
            pattern = re.escape(route.key).replace(r"\{proxy\+\}", ".+")
            if re.fullmatch(pattern, asked, re.DOTALL):
                return route
        return None


def _own(status: HTTPStatus) -> tuple[int, str, bytes]:
    """Make an answer of API Gateway's own."""
    return int(status), "application/json", json.dumps({"message": status.phrase}).encode()


def _event(environ: dict[str, Any]) -> Event:
    """Return the event of a request, without an authorizer's answer."""
    headers = dict(_headers(environ))
    query: dict[str, str] = {}
    for name, value in parse_qsl(environ["QUERY_STRING"], keep_blank_values=True):
        # A parameter that comes several times arrives as one, with commas.
        query[name] = f"{query[name]},{value}" if name in query else value
    content: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    is_text = headers.get("content-type", "").lower().startswith(TEXT_TYPES)
    body = (content.decode("utf-8", "replace") if is_text else content) or None
    path = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace")
    sent = api_event(environ["REQUEST_METHOD"], path, body=body, query=query)
    del sent["requestContext"]["authorizer"]
    return sent | {"headers": headers, "rawQueryString": environ["QUERY_STRING"]}


def _headers(environ: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in environ.items():
        if name.startswith("HTTP_") or (name in {"CONTENT_TYPE", "CONTENT_LENGTH"} and value):
            yield name.removeprefix("HTTP_").replace("_", "-").lower(), value
