"""Periods that a client asks for, by dates or times as of RFC 3339."""

import re
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import NamedTuple

from retail_pulse.domain.jobs import MAX_JOB_ID, job_id_at

# A plus sign that a client does not escape in a query arrives as a space.
_RFC3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?)([Zz]|[-+ ][0-9]{2}:[0-9]{2})?)?"
)


class Period(NamedTuple):
    """A period in UTC.

    Parameters
    ----------
    start, end
        The first instant, and the first one after the period; None without such a bound.
    """

    start: datetime | None = None
    end: datetime | None = None

    @property
    def is_unbounded(self) -> bool:
        """Whether every instant is in it."""
        return self.start is None and self.end is None

    @property
    def job_ids(self) -> tuple[int, int]:
        """The first and the last id that a job submitted in the period can have."""
        first = 0 if self.start is None else max(0, job_id_at(self.start, 0))
        last = MAX_JOB_ID if self.end is None else min(MAX_JOB_ID, job_id_at(self.end, 0) - 1)
        return first, last


def bound(text: str, zone: tzinfo = UTC, *, is_end: bool = False) -> datetime:
    """Read a bound of a period.

    Parameters
    ----------
    text
        A date or a date-time of RFC 3339; it may lack the offset.
    zone
        The time zone of dates, and of times without an offset.
    is_end
        Whether it is the end of a period: a date as its end includes the whole day.

    Raises
    ------
    ValueError
        The text is not a date or a date-time.
    """
    found = _RFC3339.fullmatch(text)
    if found is None:
        raise ValueError(text)
    date, clock, offset = found.groups()
    if clock is None:
        day = datetime.combine(datetime.fromisoformat(date), time(), zone)
        return _utc(day, timedelta(days=1) if is_end else timedelta())
    given = (offset or "").upper().replace(" ", "+").replace("Z", "+00:00")
    at = datetime.fromisoformat(f"{date}T{clock}{given}")
    return _utc(at if offset else at.replace(tzinfo=zone), timedelta())


def _utc(at: datetime, more: timedelta) -> datetime:
    """Return a time in UTC, some days later by the clock of its zone; beyond the years 1 to 9999 it is their bound."""
    try:
        return (at + more).astimezone(UTC)
    except OverflowError:
        return (datetime.min if at.year == 1 else datetime.max).replace(tzinfo=UTC)
