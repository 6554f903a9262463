"""HTTP events and answers: who calls, errors to status codes, and the shapes of errors."""

import base64
import json
import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError

from retail_pulse.domain.api_keys import KeyScope, allows, check_client
from retail_pulse.domain.errors import (
    BodyTooLargeError,
    ForbiddenError,
    IdempotencyMismatchError,
    InvalidRequestError,
    JobIsOpenError,
    JobNotFoundError,
    NothingToRetryError,
    RetailPulseError,
    StorageUnavailableError,
    UnsupportedEncodingError,
)
from retail_pulse.domain.text import printable

_log = logging.getLogger(__name__)

# The one table of what an error of the domain is in HTTP.
_STATUS: Mapping[type[RetailPulseError], HTTPStatus] = {
    InvalidRequestError: HTTPStatus.BAD_REQUEST,
    # As API Gateway and Lambda answer a body that is too large for them.
    BodyTooLargeError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    # RFC 9110, section 15.5.16.
    UnsupportedEncodingError: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    ForbiddenError: HTTPStatus.FORBIDDEN,
    JobNotFoundError: HTTPStatus.NOT_FOUND,
    JobIsOpenError: HTTPStatus.CONFLICT,
    NothingToRetryError: HTTPStatus.CONFLICT,
    IdempotencyMismatchError: HTTPStatus.UNPROCESSABLE_ENTITY,
    StorageUnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
}

# The one route whose errors have the contract's shape; those of status are empty, and its handler's.
SUBMIT_PATH = "/api/submit"
STORAGE_UNAVAILABLE = "the storage does not answer at this moment, send it again later"
# What an error repeats of a path at most.
_PATH_CHARACTERS_SHOWN = 200


def json_answer(body: Any, status: int = HTTPStatus.OK, content_type: str = "application/json") -> Response[str]:
    """Make an answer of JSON in UTF-8, as short as JSON gets."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return Response(status_code=int(status), content_type=content_type, body=text)


def contract_error(status: HTTPStatus, text: str) -> Response[str]:
    """Make an error as the contract of submit has it."""
    return json_answer({"error": text}, status)


def problem(status: HTTPStatus, text: str) -> Response[str]:
    """Make an error as RFC 9457 has it."""
    body = {"type": "about:blank", "title": status.phrase, "status": int(status), "detail": text}
    return json_answer(body, status, "application/problem+json")


class Api:
    """The routes of one function.

    Parameters
    ----------
    on_error
        Called with an error that nobody foresaw, before it is answered with 500 and nothing of it.
    """

    def __init__(self, on_error: Callable[[str], None]) -> None:
        self.app = APIGatewayHttpResolver()
        self._on_error = on_error
        self.app.not_found(self._no_route)
        self.app.exception_handler(RetailPulseError)(self._known)
        self.app.exception_handler(Exception)(self._unforeseen)

    def _error_body(self, status: HTTPStatus, text: str) -> Response[str]:
        is_contract = self.app.current_event.path == SUBMIT_PATH
        return contract_error(status, text) if is_contract else problem(status, text)

    def _no_route(self, _: NotFoundError) -> Response[str]:
        event = self.app.current_event
        path = printable(event.path)
        shown = path if len(path) <= _PATH_CHARACTERS_SHOWN else f"{path[:_PATH_CHARACTERS_SHOWN]}…"
        return self._error_body(HTTPStatus.NOT_FOUND, f"there is no {event.http_method} {shown}")

    def _known(self, error: RetailPulseError) -> Response[str]:
        # An error that is a kind of one in the table is answered as that.
        status = next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), None)
        if status is None:
            return self._unforeseen(error)
        if status is HTTPStatus.SERVICE_UNAVAILABLE:
            # What AWS said is for whoever runs the service, a client can do nothing with it.
            request = self.app.current_event["requestContext"]["requestId"]
            _log.warning("storage unavailable", extra={"request": request, "reason": str(error)})
            return self._error_body(status, STORAGE_UNAVAILABLE)
        return self._error_body(status, str(error))

    def _unforeseen(self, _: Exception) -> Response[str]:
        self._on_error("unforeseen error")
        return self._error_body(HTTPStatus.INTERNAL_SERVER_ERROR, "this is our fault")

    def answer(self, event: Mapping[str, Any], context: Any) -> dict[str, Any]:
        """Answer an event of API Gateway (payload version 2.0), its path with or without one trailing slash."""
        path = event["rawPath"]
        if len(path) > 1 and path.endswith("/"):
            path = path[:-1]
        # The resolver's patterns let a line feed at the end through, and a lone surrogate cannot be written to the log:
        # no route has either.
        event = {**event, "rawPath": printable(path)}
        return self.app.resolve(event, context)

    def client(self, scope: KeyScope) -> str:
        """Return the client that calls, as the authorizer has found it.

        Raises
        ------
        ForbiddenError
            Its key lacks the scope.
        InvalidClientError
            The name is none that a client can have: the authorizer is at fault, not the client.
        """
        context = self.app.current_event["requestContext"]
        found = context["authorizer"]["lambda"]
        client = check_client(found["client"])
        if not allows(found["scopes"].split(), scope):
            about = {"request": context["requestId"], "client": client, "key_id": found["key_id"]}
            _log.warning("refused", extra={**about, "reason": f"lacks the scope {scope}"})
            raise ForbiddenError(f"this key lacks the scope {scope}")
        return client

    def body(self) -> bytes:
        """Return the request's body, empty when there is none.

        Its content type does not matter: what ``curl -d`` sends calls itself a form.

        Raises
        ------
        UnsupportedEncodingError
            The body is compressed.
        InvalidRequestError
            The event says that the body is in Base64, and it is not.
        """
        event = self.app.current_event
        encoding = self.header("content-encoding")
        if encoding is not None and encoding.strip().lower() not in {"", "identity"}:
            raise UnsupportedEncodingError(
                f"header Content-Encoding is {printable(encoding)[:40]}: a body must not be compressed"
            )
        body: str = event.get("body") or ""
        if not event.get("isBase64Encoded"):
            return body.encode("utf-8", "surrogatepass")
        try:
            return base64.b64decode(body, validate=True)
        except ValueError:
            raise InvalidRequestError("body is not Base64, as the event says it is") from None

    def header(self, name: str) -> str | None:
        """Return a header, None when it is absent."""
        return self.app.current_event.headers.get(name)

    def parameter(self, name: str) -> str | None:
        """Return a parameter of the query, None when it is absent."""
        return self.app.current_event.query_string_parameters.get(name)

    def integer(self, name: str, default: int, least: int, most: int) -> int:
        """Return a parameter of the query that is a whole number.

        Raises
        ------
        InvalidRequestError
            It is none, or not within the bounds.
        """
        text = self.parameter(name)
        if text is None:
            return default
        if not (text.isascii() and text.isdecimal() and len(text) < 10 and least <= int(text) <= most):
            raise InvalidRequestError(f"{name} must be a whole number from {least} to {most}")
        return int(text)
