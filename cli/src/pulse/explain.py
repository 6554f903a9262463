"""Plain texts for errors of the service, and advice for the codes of failed images."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from pulse.client import ServiceError, UnreachableError
from pulse.errors import ExitCode, PulseError

_CHECK_URL: Final = "check the URL: it is the one that whoever runs the service gave you, without /api"
_HINTS: Final[Mapping[str, str]] = {
    "missing_scope": "use a key that has this scope; whoever gave you the key can create one",
    "job_not_found": "check the number with `pulse jobs`; jobs of other clients and expired ones are not shown",
    "job_is_open": "wait until it has ended: `pulse status JOB --wait`",
    "retries_used_up": "submit the failed images as another job: `pulse fix JOB -o FILE`, then `pulse submit FILE`",
    "route_not_found": _CHECK_URL,
    "daily_limit_reached": "repeat the command after that time; what is submitted already is not submitted twice",
    "retried_too_soon": "wait a minute, then repeat the command",
}
# What to do about a failed image, by its code; the texts are those of docs/errors.md.
ADVICE: Final[Mapping[str, str]] = {
    "unknown_store": "submit the visit with the right store id",
    "invalid_url": "submit the right address",
    "blocked_address": "serve the image from a public address",
    "dns_failed": "check the name of the server in the address",
    "connect_failed": "check the image's server; it is retried",
    "tls_failed": "check the certificate of the image's server",
    "timeout": "check how long the image's server takes; it is retried",
    "http_status": "open the address in a private browser window: it must show the image without a login",
    "too_many_redirects": "submit the address to which the redirects lead",
    "too_large": "make the file smaller",
    "truncated": "upload the image again",
    "damaged": "upload the image again",
    "not_an_image": "open the address in a private browser window: it shows a page in place of an image",
    "unsupported_format": "save the image as JPEG or PNG",
    "processing_error": "run `pulse retry JOB`; report it if it fails again",
}


def explained(error: ServiceError | UnreachableError, url: str) -> PulseError:
    """Return an error of the service as one for people."""
    if isinstance(error, UnreachableError):
        hint = "check the URL and your connection, then repeat the command"
        return PulseError(f"Cannot reach {url}: {error}.", hint, code=ExitCode.NO_SERVICE)
    code = ExitCode.BAD_INPUT if error.status == HTTPStatus.BAD_REQUEST else ExitCode.NO_SERVICE
    return PulseError(_text(error, url), _hint(error), code=code)


def _text(error: ServiceError, url: str) -> str:
    if _is_refused_key(error):
        return f"The service at {url} refused the API key: it is unknown, expired or revoked."
    if not error.code and (error.status < HTTPStatus.BAD_REQUEST or error.status == HTTPStatus.NOT_FOUND):
        return f"{url} answered {error.status}, but not as Retail Pulse does."
    request = f"request {error.request_id}" if error.request_id else ""
    marks = ", ".join(filter(None, [f"{error.status} {error.code}".strip(), request]))
    return f"The service refused: {error.detail.rstrip('.')} ({marks})."


def _hint(error: ServiceError) -> str:
    if error.code in _HINTS:
        return _HINTS[error.code]
    if _is_refused_key(error):
        return "run `pulse login` with a valid key"
    if not error.code and (error.status < HTTPStatus.BAD_REQUEST or error.status == HTTPStatus.NOT_FOUND):
        return _CHECK_URL
    if error.status == HTTPStatus.TOO_MANY_REQUESTS or error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "repeat the command in some minutes"
    return ""


def _is_refused_key(error: ServiceError) -> bool:
    is_gateway = not error.code
    return error.status == HTTPStatus.UNAUTHORIZED or (error.status == HTTPStatus.FORBIDDEN and is_gateway)
