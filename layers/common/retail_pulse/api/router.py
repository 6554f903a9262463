"""HTTP events and responses: the calling client, errors as status codes, and the shapes of errors."""

import base64
import json
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError

from retail_pulse.api.csv import CSV_TYPE, csv_text
from retail_pulse.api.negotiation import gzipped
from retail_pulse.api.query import Query
from retail_pulse.api.request_errors import RequestCode, code_of
from retail_pulse.domain.api_keys import KeyScope, allows, check_client
from retail_pulse.domain.errors import (
    ForbiddenError,
    InvalidSubmissionError,
    Problem,
    RetailPulseError,
    RetryLaterError,
    UnsupportedEncodingError,
)
from retail_pulse.domain.text import printable

_log = logging.getLogger(__name__)

# The routes whose errors have the contract's shape: all of submit's, and the report's 400. The status handler makes its
# own, which are empty.
SUBMIT_PATH = "/api/submit"
VISITS_PATH = "/api/visits"
STORAGE_UNAVAILABLE = "storage is temporarily unavailable; try again later"
# What a client reads is for that client: nothing may keep it, unless a route says otherwise.
_HEADERS = {"Cache-Control": "no-store", "Vary": "Accept, Accept-Encoding", "X-Content-Type-Options": "nosniff"}
# Maximum length of a path in an error.
_PATH_CHARACTERS_SHOWN = 200


def json_answer(
    body: Any,
    status: int = HTTPStatus.OK,
    content_type: str = "application/json",
    headers: dict[str, str | list[str]] | None = None,
) -> Response[str]:
    """Return a response with compact JSON in UTF-8."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return Response(status_code=int(status), content_type=content_type, body=text, headers=headers)


def list_answer(
    query: Query, body: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], columns: Sequence[str]
) -> Response[str]:
    """Return a page of a list: its body as JSON, or its rows as CSV with a link to the next page."""
    if not query.wants_csv:
        return json_answer(body)
    cursor = body["next_cursor"]
    headers: dict[str, str | list[str]] = {} if cursor is None else {"Link": f'<{query.next_link(cursor)}>; rel="next"'}
    return Response(HTTPStatus.OK, CSV_TYPE, csv_text(columns, rows), headers)


class Api:
    """The routes of one function.

    Parameters
    ----------
    on_error
        Called for an unexpected exception, before the generic 500 response is sent.
    on_client
        Called with the client of every request to a route that needs a key, before the route does its work.
    """

    def __init__(self, on_error: Callable[[str], None], on_client: Callable[[str], None]) -> None:
        self.app = APIGatewayHttpResolver()
        self._on_error = on_error
        self._on_client = on_client
        self.app.not_found(self._no_route)
        self.app.exception_handler(RetailPulseError)(self._known)
        self.app.exception_handler(Exception)(self._unexpected)

    def _error(
        self, code: RequestCode, text: str, retry_after: int | None = None, problems: Sequence[Problem] = ()
    ) -> Response[str]:
        """Return an error in the shape of the route: of submit's contract, or of RFC 9457."""
        event = self.app.current_event
        headers: dict[str, str | list[str]] = {} if retry_after is None else {"Retry-After": str(retry_after)}
        if event.path == VISITS_PATH and code.status == HTTPStatus.BAD_REQUEST:
            return json_answer({"error": text}, code.status, headers=headers)
        if event.path == SUBMIT_PATH:
            errors = {"errors": [problem._asdict() for problem in problems]} if problems else {}
            return json_answer({"error": text, "code": code, **errors}, code.status, headers=headers)
        body = {
            "type": code.link,
            "title": code.summary,
            "status": int(code.status),
            "detail": text,
            "code": code,
            "request_id": event["requestContext"]["requestId"],
        }
        return json_answer(body, code.status, "application/problem+json", headers)

    def _no_route(self, _: NotFoundError) -> Response[str]:
        event = self.app.current_event
        path = printable(event.path)
        shown = path if len(path) <= _PATH_CHARACTERS_SHOWN else f"{path[:_PATH_CHARACTERS_SHOWN]}…"
        return self._error(RequestCode.ROUTE_NOT_FOUND, f"{event.http_method} {shown} is not a route of this API")

    def _known(self, error: RetailPulseError) -> Response[str]:
        code = code_of(error)
        if code is RequestCode.INTERNAL_ERROR:
            return self._unexpected(error)
        if code is RequestCode.STORAGE_UNAVAILABLE:
            # The reason that AWS gave is for the log only: a client can do nothing with it.
            request = self.app.current_event["requestContext"]["requestId"]
            _log.warning("storage unavailable", extra={"request": request, "reason": str(error)})
            return self._error(code, STORAGE_UNAVAILABLE)
        seconds = error.seconds if isinstance(error, RetryLaterError) else None
        problems = error.problems if isinstance(error, InvalidSubmissionError) else ()
        return self._error(code, str(error), seconds, problems)

    def _unexpected(self, _: Exception) -> Response[str]:
        self._on_error("unexpected error")
        return self._error(RequestCode.INTERNAL_ERROR, "internal server error")

    def answer(self, event: Mapping[str, Any], context: Any) -> dict[str, Any]:
        """Return the response to an event of API Gateway (payload version 2.0), with or without one trailing slash."""
        path = event["rawPath"]
        # "//" is not the root.
        if len(path) > 2 and path.endswith("/"):
            path = path[:-1]
        # The resolver's patterns match a path with a line feed at the end, and a lone surrogate cannot be logged.
        # `printable` turns both into a path that no route matches.
        event = {**event, "rawPath": printable(path)}
        answer = self.app.resolve(event, context)
        headers = self.app.current_event.headers
        return gzipped(answer | {"headers": _HEADERS | answer["headers"]}, headers.get("accept-encoding") or "")

    def client(self, scope: KeyScope) -> str:
        """Return the calling client, as the authorizer found it.

        Raises
        ------
        ForbiddenError
            The client's key lacks the scope.
        InvalidClientError
            The authorizer gave a name that a client cannot have; the response is 500.
        """
        context = self.app.current_event["requestContext"]
        found = context["authorizer"]["lambda"]
        client = check_client(found["client"])
        self._on_client(client)
        if not allows(found["scopes"].split(), scope):
            about = {"request": context["requestId"], "client": client, "key_id": found["key_id"]}
            _log.warning("refused", extra={**about, "reason": f"lacks the scope {scope}"})
            raise ForbiddenError(f"API key lacks the scope {scope}")
        return client

    def scopes(self) -> list[str]:
        """Return the scopes of the calling key."""
        found: str = self.app.current_event["requestContext"]["authorizer"]["lambda"]["scopes"]
        return found.split()

    def daily_limit(self) -> int | None:
        """Return how many images the calling key's client may submit per day; None for any number."""
        images = self.app.current_event["requestContext"]["authorizer"]["lambda"].get("daily_images")
        return None if images is None else int(images)

    def body(self) -> bytes:
        """Return the request's body; empty when it is absent.

        The content type does not matter: ``curl -d`` declares a form.

        Raises
        ------
        UnsupportedEncodingError
            The body is compressed.
        InvalidSubmissionError
            The event declares a body in Base64, and it is not.
        """
        event = self.app.current_event
        encoding = self.header("content-encoding")
        if encoding is not None and encoding.strip().lower() not in {"", "identity"}:
            raise UnsupportedEncodingError(
                f"header Content-Encoding is {printable(encoding)[:40]}; the body must not be compressed"
            )
        body: str = event.get("body") or ""
        if not event.get("isBase64Encoded"):
            return body.encode("utf-8", "surrogatepass")
        try:
            return base64.b64decode(body, validate=True)
        except ValueError:
            raise InvalidSubmissionError.at("body", "is not valid Base64") from None

    def header(self, name: str) -> str | None:
        """Return a header; None when it is absent."""
        return self.app.current_event.headers.get(name)

    def parameter(self, name: str) -> str | None:
        """Return a query parameter; None when it is absent."""
        return self.app.current_event.query_string_parameters.get(name)

    def query(self, *known: str, repeatable: Collection[str] = ()) -> Query:
        """Return the query of a request to a route that knows these parameters; see `Query`."""
        event = self.app.current_event
        return Query(event.raw_query_string, event.path, self.header("accept") or "", known, repeatable)
