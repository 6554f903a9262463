"""The `Retry-After` header: how long a server asks clients to wait (RFC 9110, section 10.2.3)."""

from collections.abc import Mapping

from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

_RETRY = Retry()


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds to wait, at most six hours; None without a valid number of seconds or HTTP date."""
    try:
        return float(_RETRY.parse_retry_after(headers.get("Retry-After", "")))
    except (InvalidHeader, ValueError, OverflowError):
        return None
