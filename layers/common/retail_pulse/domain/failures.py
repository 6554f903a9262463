"""Why an image could not be measured, and which of these failures are transient."""

from enum import StrEnum

from retail_pulse.domain.text import client_message


class FailureCode(StrEnum):
    """The published codes of a failed image."""

    UNKNOWN_STORE = "unknown_store"
    INVALID_URL = "invalid_url"
    BLOCKED_ADDRESS = "blocked_address"
    DNS_FAILED = "dns_failed"
    CONNECT_FAILED = "connect_failed"
    TLS_FAILED = "tls_failed"
    TIMEOUT = "timeout"
    HTTP_STATUS = "http_status"
    TOO_MANY_REDIRECTS = "too_many_redirects"
    TOO_LARGE = "too_large"
    TRUNCATED = "truncated"
    DAMAGED = "damaged"
    NOT_AN_IMAGE = "not_an_image"
    UNSUPPORTED_FORMAT = "unsupported_format"
    PROCESSING_ERROR = "processing_error"


# The codes that are always worth a retry. `http_status` depends on the status: see `is_transient_status`.
_TRANSIENT = frozenset({FailureCode.CONNECT_FAILED, FailureCode.TIMEOUT})


# Besides every 5xx (RFC 9110, section 15.6): a server gave up waiting for the request (section 15.5.9), did not want to
# risk a replayed one (RFC 8470, section 5.2), or has had too many of them (RFC 6585, section 4).
_TRANSIENT_STATUSES = frozenset({408, 425, 429})


def is_transient_status(status: int) -> bool:
    """Return whether an HTTP status is transient."""
    return status in _TRANSIENT_STATUSES or 500 <= status <= 599


class MeasuringError(Exception):
    """An image could not be measured.

    Parameters
    ----------
    code
        The published code.
    message
        What went wrong; see `domain.text.client_message`.
    passing
        Whether the failure is transient; None for the default of the code.
    retry_after
        Seconds that the server asks to wait before a retry; None if it does not say.
    costs_attempt
        Whether it counts as an attempt at the image: false when the server was not asked, or is not to blame.
    """

    def __init__(
        self,
        code: FailureCode,
        message: str,
        *,
        passing: bool | None = None,
        retry_after: float | None = None,
        costs_attempt: bool = True,
    ) -> None:
        self.code = code
        self.message = client_message(message)
        self.is_transient = code in _TRANSIENT if passing is None else passing
        self.retry_after = retry_after
        self.costs_attempt = costs_attempt
        super().__init__(f"{code}: {self.message}")
