"""API Gateway in front of the handlers, in this process: a WSGI application for tests that send HTTP requests.

Routes, authorizer and limits are those of the template and of AWS; the handlers get events of payload version 2.0.
"""

import base64
import json
import re
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from werkzeug import Request, Response

from local.emulator.gateway import LAMBDA_BYTES, TEXT_TYPES
from local.emulator.template import Route, Template
from local.lambda_host.context import Context
from local.lambda_host.events import Event, api_event, event

Handler = Callable[[Event, Any], Any]


class Gateway:
    """A WSGI application.

    Parameters
    ----------
    functions
        Handlers by their function's logical id in the template.

    Attributes
    ----------
    answered
        The requests so far, as method and path with the status of their response, in order.
    """

    def __init__(self, functions: Mapping[str, Handler]) -> None:
        template = Template()
        self._functions = functions
        self._routes = sorted(template.routes(), key=lambda route: ("{" in route.key, route.key.startswith("ANY ")))
        self._authorizers = {authorizer.name: authorizer.function for authorizer in template.authorizers()}
        self.answered: list[tuple[str, int]] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request."""
        sent = _event(Request(environ))
        answer = self._answer(sent)
        self.answered.append((f"{sent['requestContext']['http']['method']} {sent['rawPath']}", answer.status_code))
        return answer(environ, start_response)

    def _answer(self, sent: Event) -> Response:
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
        # Lambda could not pass on what cannot be written as JSON in UTF-8.
        json.dumps(answer, ensure_ascii=False).encode()
        body = base64.b64decode(answer["body"]) if answer.get("isBase64Encoded") else answer["body"]
        return Response(body, answer["statusCode"], answer["headers"])

    def _route(self, sent: Event) -> Route | None:
        asked = f"{sent['requestContext']['http']['method']} {sent['rawPath']}"
        for route in self._routes:
            pattern = re.escape(route.key).replace(r"\{proxy\+\}", ".+")
            if re.fullmatch(pattern, asked, re.DOTALL):
                return route
        return None


def _own(status: HTTPStatus) -> Response:
    """Make an answer of API Gateway's own."""
    return Response(json.dumps({"message": status.phrase}), status, content_type="application/json")


def _event(request: Request) -> Event:
    """Return the event of a request, without an authorizer's answer."""
    query = parse_qs(request.environ["QUERY_STRING"], keep_blank_values=True)
    content = request.get_data()
    is_text = (request.content_type or "").lower().startswith(TEXT_TYPES)
    sent = api_event(
        request.method,
        # Not request.path, which has fewer slashes.
        request.environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace"),
        body=(content.decode("utf-8", "replace") if is_text else content) or None,
        # A parameter that comes several times arrives as one, with commas.
        query={name: ",".join(values) for name, values in query.items()},
    )
    del sent["requestContext"]["authorizer"]
    headers = {name.lower(): value for name, value in request.headers.items()}
    return sent | {"headers": headers, "rawQueryString": request.environ["QUERY_STRING"]}
