"""Dates and times in queries (RFC 3339), and the jobs of a period."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from retail_pulse.domain.jobs import MAX_JOB_ID, job_id_at
from retail_pulse.domain.periods import Period, bound

BERLIN = ZoneInfo("Europe/Berlin")


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2026-11-23", at(2026, 11, 23), at(2026, 11, 24)),
        ("2026-11-23T10:00:00", at(2026, 11, 23, 10), at(2026, 11, 23, 10)),
        ("2026-11-23t10:00:00z", at(2026, 11, 23, 10), at(2026, 11, 23, 10)),
        ("2026-11-23T10:00:00+05:30", at(2026, 11, 23, 4, 30), at(2026, 11, 23, 4, 30)),
        # A plus sign that was not escaped.
        ("2026-11-23T10:00:00 05:30", at(2026, 11, 23, 4, 30), at(2026, 11, 23, 4, 30)),
        ("2026-11-23 10:00:00.25-01:00", at(2026, 11, 23, 11, 0, 0, 250_000), at(2026, 11, 23, 11, 0, 0, 250_000)),
        ("0001-01-01", at(1, 1, 1), at(1, 1, 2)),
        ("9999-12-31", at(9999, 12, 31), datetime.max.replace(tzinfo=UTC)),
        ("0001-01-01T00:00:00+01:00", at(1, 1, 1), at(1, 1, 1)),
    ],
)
def test_a_bound_is_read(text: str, start: datetime, end: datetime) -> None:
    assert bound(text) == start
    assert bound(text, is_end=True) == end


def test_dates_are_days_of_the_time_zone() -> None:
    # 25 hours: summer time ends.
    assert bound("2026-10-25", BERLIN) == at(2026, 10, 24, 22)
    assert bound("2026-10-25", BERLIN, is_end=True) == at(2026, 10, 25, 23)
    assert bound("2026-10-25T12:00:00", BERLIN) == at(2026, 10, 25, 11)
    assert bound("2026-10-25T12:00:00Z", BERLIN) == at(2026, 10, 25, 12)
    assert bound("0001-01-01", BERLIN) == at(1, 1, 1)


@pytest.mark.parametrize(
    "text",
    [
        "", "now", "2026", "2026-11", "20261123", "2026-13-01", "2026-02-30", "2026-11-23T10", "2026-11-23T25:00:00",
        "2026-11-23T10:00:60", "2026-11-23T10:00:00+99:00", "2026-11-23Z", "٢٠٢٦-11-23", "2026-11-23\n", "x" * 10_000,
    ],
)  # fmt: skip
def test_anything_else_is_not_a_bound(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the text is the value that was refused
        bound(text)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (at(2026, 11, 23), at(2026, 11, 24)),
        # Their seconds as a binary fraction, times a thousand, are a little less than a whole number.
        (at(2027, 2, 23, 1, 2, 54, 887_000), at(2027, 3, 4, 3, 59, 49, 12_000)),
    ],
)
def test_a_period_has_exactly_the_jobs_that_were_submitted_in_it(start: datetime, end: datetime) -> None:
    first, last = Period(start, end).job_ids
    millisecond = timedelta(milliseconds=1)
    inside = [job_id_at(time, bits) for time in (start, end - millisecond) for bits in (0, 4095)]
    outside = [job_id_at(time, bits) for time in (start - millisecond, end) for bits in (0, 4095)]
    assert all(first <= job_id <= last for job_id in inside)
    assert not any(first <= job_id <= last for job_id in outside)
    assert Period().job_ids == (0, MAX_JOB_ID)
    # Before all jobs, and after all of them.
    assert Period(None, at(1, 1, 1)).job_ids[1] < 0
    assert Period(datetime.max.replace(tzinfo=UTC)).job_ids[0] > MAX_JOB_ID
