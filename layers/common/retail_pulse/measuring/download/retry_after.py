"""The header `Retry-After`: how long a server asks to wait (RFC 9110, section 10.2.3)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Read how long a server asks to wait.

    Parameters
    ----------
    headers
        Of its answer, with names in any case as the mapping takes them.
    now
        The clock, against which a date is held.

    Returns
    -------
    float or None
        Seconds, at least 0; None when the header is absent or neither a number of seconds nor an HTTP date.
    """
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdecimal():
        return float(text[:12])  # a number of more digits is no time that anyone waits for
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    # HTTP dates are in GMT; the old forms say so without an offset.
    aware = date if date.tzinfo is not None else date.replace(tzinfo=UTC)
    return max(0.0, (aware - now).total_seconds())
