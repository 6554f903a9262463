"""Times as text: as clients write them, and as this service writes them."""

from datetime import UTC, datetime


def utc_of(visit_time: str) -> datetime | None:
    """Read a visit's time as ISO 8601 or RFC 3339.

    Parameters
    ----------
    visit_time
        Any text; without an offset, the time is UTC.

    Returns
    -------
    datetime or None
        The time in UTC; None for a text that is not a time of the years 1 to 9999.
    """
    try:
        time = datetime.fromisoformat(visit_time.strip().upper())
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def rfc3339(time: datetime) -> str:
    """Write a UTC time with milliseconds and ``Z``, in a fixed width, so texts sort like times."""
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
