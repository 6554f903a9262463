"""The published codes of refused requests, and their HTTP status; docs/errors.md has what they mean."""

from collections.abc import Mapping
from enum import StrEnum
from http import HTTPStatus

from retail_pulse.domain.errors import (
    BodyTooLargeError,
    ForbiddenError,
    IdempotencyMismatchError,
    InvalidRequestError,
    JobIsOpenError,
    JobNotFoundError,
    NothingToRetryError,
    RetailPulseError,
    RetriedTooSoonError,
    RetriesUsedUpError,
    StorageUnavailableError,
    UnsupportedEncodingError,
)
from retail_pulse.domain.usage import DailyLimitError


class RequestCode(StrEnum):
    """The published codes of a refused request."""

    INVALID_REQUEST = "invalid_request"
    BODY_TOO_LARGE = "body_too_large"
    UNSUPPORTED_ENCODING = "unsupported_encoding"
    MISSING_SCOPE = "missing_scope"
    ROUTE_NOT_FOUND = "route_not_found"
    JOB_NOT_FOUND = "job_not_found"
    JOB_IS_OPEN = "job_is_open"
    NOTHING_TO_RETRY = "nothing_to_retry"
    RETRIES_USED_UP = "retries_used_up"
    RETRIED_TOO_SOON = "retried_too_soon"
    DAILY_LIMIT_REACHED = "daily_limit_reached"
    IDEMPOTENCY_MISMATCH = "idempotency_mismatch"
    STORAGE_UNAVAILABLE = "storage_unavailable"
    INTERNAL_ERROR = "internal_error"

    @property
    def status(self) -> HTTPStatus:
        """The HTTP status of its responses."""
        return _STATUS[self]

    @property
    def summary(self) -> str:
        """A short text for people, the same for each error of this code."""
        return self.value.replace("_", " ").capitalize()

    @property
    def link(self) -> str:
        """Where the page of codes explains it."""
        return f"/docs/errors#{self.value}"


# The only table of codes and statuses.
_STATUS: Mapping[RequestCode, HTTPStatus] = {
    RequestCode.INVALID_REQUEST: HTTPStatus.BAD_REQUEST,
    # The same as API Gateway and Lambda return for a body that is too large for them.
    RequestCode.BODY_TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    # RFC 9110, section 15.5.16.
    RequestCode.UNSUPPORTED_ENCODING: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    RequestCode.MISSING_SCOPE: HTTPStatus.FORBIDDEN,
    RequestCode.ROUTE_NOT_FOUND: HTTPStatus.NOT_FOUND,
    RequestCode.JOB_NOT_FOUND: HTTPStatus.NOT_FOUND,
    RequestCode.JOB_IS_OPEN: HTTPStatus.CONFLICT,
    RequestCode.NOTHING_TO_RETRY: HTTPStatus.CONFLICT,
    RequestCode.RETRIES_USED_UP: HTTPStatus.CONFLICT,
    RequestCode.RETRIED_TOO_SOON: HTTPStatus.TOO_MANY_REQUESTS,
    RequestCode.DAILY_LIMIT_REACHED: HTTPStatus.TOO_MANY_REQUESTS,
    RequestCode.IDEMPOTENCY_MISMATCH: HTTPStatus.UNPROCESSABLE_ENTITY,
    RequestCode.STORAGE_UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    RequestCode.INTERNAL_ERROR: HTTPStatus.INTERNAL_SERVER_ERROR,
}
_CODES: Mapping[type[RetailPulseError], RequestCode] = {
    InvalidRequestError: RequestCode.INVALID_REQUEST,
    BodyTooLargeError: RequestCode.BODY_TOO_LARGE,
    UnsupportedEncodingError: RequestCode.UNSUPPORTED_ENCODING,
    ForbiddenError: RequestCode.MISSING_SCOPE,
    JobNotFoundError: RequestCode.JOB_NOT_FOUND,
    JobIsOpenError: RequestCode.JOB_IS_OPEN,
    NothingToRetryError: RequestCode.NOTHING_TO_RETRY,
    RetriesUsedUpError: RequestCode.RETRIES_USED_UP,
    RetriedTooSoonError: RequestCode.RETRIED_TOO_SOON,
    DailyLimitError: RequestCode.DAILY_LIMIT_REACHED,
    IdempotencyMismatchError: RequestCode.IDEMPOTENCY_MISMATCH,
    StorageUnavailableError: RequestCode.STORAGE_UNAVAILABLE,
}


def code_of(error: RetailPulseError) -> RequestCode:
    """Return the code of an error of the domain; any that a client cannot cause is an internal one."""
    return next((_CODES[kind] for kind in type(error).__mro__ if kind in _CODES), RequestCode.INTERNAL_ERROR)
