"""A client of the API over HTTP: single requests as they are, or calls that are repeated when the service is busy."""

import hashlib
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final, NamedTuple, Self
from urllib.parse import parse_qs, urlsplit

import requests
from requests.adapters import HTTPAdapter

from pulse import __version__

JSON_TYPE: Final = {"Content-Type": "application/json"}
# Sent without a key; the value takes the session's header out of a request.
NO_KEY: Final = {"x-api-key": None}
_CONNECT_SECONDS: Final = 10.0
_READ_SECONDS: Final = 60.0
# Their requests did nothing, so even a POST may be repeated.
_TRANSIENT: Final = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, 504}
_FIRST_WAIT_SECONDS: Final = 1.0
_MAX_WAIT_SECONDS: Final = 60.0
# Without any answer so far, the URL is more likely wrong than the service away.
_MAX_FIRST_ATTEMPTS: Final = 3
_LARGEST_PAGE: Final = 1000
_LOOPBACK: Final = {"127.0.0.1", "localhost", "::1"}

Query = Mapping[str, str | int | list[str] | None]


class ServiceError(requests.HTTPError):
    """The service answered with another status than the expected one.

    `status`, `code` and `detail` say why; `code` is empty when the response has none, as those of API Gateway.
    """

    def __init__(self, response: requests.Response) -> None:
        self.status = response.status_code
        self.code, self.detail, self.request_id = _reason(response)
        where = f"{response.request.method} {urlsplit(response.url).path}"
        super().__init__(f"{where} returned {self.status}: {self.detail}", response=response)


class UnreachableError(requests.ConnectionError):
    """There was no answer, also not to the last attempt; the text says why, in a few words."""


class Submitted(NamedTuple):
    """An accepted submission: the job's id, and whether it is that of an earlier attempt."""

    job_id: str
    is_replay: bool


class Client:
    """Calls the API at a base URL with one key or none; a context manager, safe to share between threads.

    Parameters
    ----------
    connections
        Maximum number of concurrent requests.
    attempts
        Maximum number of attempts at a call. `request` has one.
    on_wait
        Called with the seconds and the reason before each wait for another attempt.
    """

    def __init__(
        self,
        url: str,
        key: str | None,
        *,
        connections: int = 10,
        attempts: int = 1,
        on_wait: Callable[[float, str], None] = lambda _seconds, _reason: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = url.rstrip("/")
        # The URL and the key in a form that may be stored: a key is too long to be guessed.
        self.digest = hashlib.sha256(f"{self.url} {key or ''}".encode()).hexdigest()
        self._attempts = attempts
        self._on_wait = on_wait
        self._sleep = sleep
        self._has_answered = False
        self._session = requests.Session()
        # A proxy from the environment may be needed to reach a stage, but cannot reach this machine.
        self._session.trust_env = urlsplit(url).hostname not in _LOOPBACK
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=connections))
        self._session.headers["User-Agent"] = f"pulse/{__version__}"
        if key:
            self._session.headers["x-api-key"] = key

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def request(self, method: str, path: str, **arguments: Any) -> requests.Response:
        """Send a request once and return the response, whatever its status; raise what requests raises."""
        # A redirect could lead the key to another server.
        defaults: dict[str, Any] = {"timeout": (_CONNECT_SECONDS, _READ_SECONDS), "allow_redirects": False}
        return self._session.request(method, self.url + path, **defaults | arguments)

    def call(
        self, method: str, path: str, status: int = HTTPStatus.OK, *, is_repeatable: bool = True, **arguments: Any
    ) -> requests.Response:
        """Send a request, repeat it while the service is busy or away, and return a response with the status.

        Parameters
        ----------
        is_repeatable
            Whether the request may be sent again when its response was lost.

        Raises
        ------
        ServiceError
            The service answered with another status.
        UnreachableError
            It did not answer.
        """
        for attempt in range(1, self._attempts + 1):
            is_last = attempt == self._attempts
            try:
                response = self.request(method, path, **arguments)
            except requests.RequestException as error:
                is_last = is_last or (attempt >= _MAX_FIRST_ATTEMPTS and not self._has_answered)
                if is_last or not is_repeatable or not isinstance(error, requests.ConnectionError | requests.Timeout):
                    raise UnreachableError(_why(error)) from error
                self._wait(_backoff(attempt), _why(error))
                continue
            self._has_answered = True
            if response.status_code == status:
                return response
            refusal = ServiceError(response)
            asked = retry_after(response)
            seconds = _backoff(attempt) if asked is None else asked
            if is_last or refusal.status not in _TRANSIENT or seconds > _MAX_WAIT_SECONDS:
                raise refusal
            self._wait(seconds, refusal.detail)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _wait(self, seconds: float, reason: str) -> None:
        self._on_wait(seconds, reason)
        self._sleep(seconds)

    def read(self, path: str, **query: str | int | list[str] | None) -> Any:
        """Send a GET and return the JSON of the response, which must be a 200; raise as `call`."""
        return _json(self.call("GET", path, params=query or None))

    def submit_body(self, body: bytes, idempotency_key: str) -> Submitted:
        """Submit the body of a job under an Idempotency-Key; raise as `call`."""
        headers = {**JSON_TYPE, "Idempotency-Key": idempotency_key}
        response = self.call("POST", "/api/submit", HTTPStatus.CREATED, data=body, headers=headers)
        return Submitted(str(_json(response)["job_id"]), response.headers.get("Idempotent-Replayed") == "true")

    def job(self, job_id: str | int) -> dict[str, Any]:
        """Return a job with its times and counts; raise as `call`."""
        details: dict[str, Any] = self.read(f"/api/jobs/{job_id}")
        return details

    def knows_job(self, job_id: str | int) -> bool:
        """Return whether the key's client has a job; raise as `call`."""
        try:
            self.read("/api/status", jobid=job_id)
        except ServiceError as error:
            if error.status == HTTPStatus.BAD_REQUEST:
                return False
            raise
        return True

    def retry(self, job_id: str | int) -> dict[str, Any]:
        """Retry the failed images of a job; raise as `call`."""
        path = f"/api/jobs/{job_id}/retry"
        reopened: dict[str, Any] = _json(self.call("POST", path, HTTPStatus.ACCEPTED, is_repeatable=False))
        return reopened

    def rows(self, path: str, field: str, query: Query) -> Iterator[dict[str, Any]]:
        """Yield the rows of a list, page by page; `field` has them. Raise as `call`."""
        wanted = {"limit": _LARGEST_PAGE, **query}
        while True:
            page = self.read(path, **wanted)
            yield from page[field]
            if page["next_cursor"] is None:
                return
            wanted["cursor"] = page["next_cursor"]

    def csv_pages(self, path: str, query: Query) -> Iterator[bytes]:
        """Yield the pages of a list as CSV, only the first one with its header row; raise as `call`."""
        wanted = {"limit": _LARGEST_PAGE, **query, "format": "csv"}
        is_first = True
        while True:
            response = self.call("GET", path, params=wanted)
            yield response.content if is_first else response.content.partition(b"\r\n")[2]
            following = response.links.get("next")
            if following is None:
                return
            wanted["cursor"] = parse_qs(urlsplit(following["url"]).query)["cursor"][0]
            is_first = False


def retry_after(response: requests.Response) -> float | None:
    """Return how many seconds a response asks to wait, in seconds or until a date; None if it does not."""
    text = response.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        # No header, or a date without a zone.
        return None


def _backoff(attempt: int) -> float:
    seconds: float = min(_FIRST_WAIT_SECONDS * 2 ** (attempt - 1), _MAX_WAIT_SECONDS / 2)
    # Clients that were refused together do not come back together.
    return seconds * random.uniform(0.75, 1)


def _json(response: requests.Response) -> Any:
    try:
        return response.json()
    except requests.JSONDecodeError:
        raise ServiceError(response) from None


def _reason(response: requests.Response) -> tuple[str, str, str]:
    """Return the code, text and request id of an error, in whichever shape it has; empty texts if it has none."""
    try:
        body = response.json()
    except requests.JSONDecodeError:
        body = None
    fields = body if isinstance(body, dict) else {}
    text = fields.get("detail") or fields.get("error") or fields.get("message") or " ".join(response.text[:200].split())
    return str(fields.get("code") or ""), str(text or response.reason or ""), str(fields.get("request_id") or "")


def _why(error: requests.RequestException) -> str:
    """Return why there was no answer in a few words: the text of requests is long and repeats the URL."""
    match error:
        case requests.exceptions.SSLError():
            return "the certificate of the server was refused"
        case requests.exceptions.ProxyError():
            return "the proxy did not connect"
        case requests.ConnectTimeout():
            return "no connection in time"
        case requests.Timeout():
            return "no answer in time"
    text = str(error)
    for sign, reason in _REASONS.items():
        if sign in text:
            return reason
    return "the connection was lost" if isinstance(error, requests.ConnectionError) else "the request could not be sent"


_REASONS: Final = {
    "NameResolutionError": "the host name is unknown",
    "Connection refused": "the connection was refused",
    "No route to host": "the server cannot be reached",
    "Network is unreachable": "the network is unreachable",
}
