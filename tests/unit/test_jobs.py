"""Job ids and visit times."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_pulse.domain.jobs import MAX_JOB_ID, job_id_at
from retail_pulse.domain.times import rfc3339, utc_of

times = st.datetimes(datetime(2025, 1, 1), datetime(2090, 1, 1)).map(lambda time: time.replace(tzinfo=UTC))


@given(times, st.integers(0, 2**40))
def test_ids_are_exact_in_json_and_sort_by_time(time: datetime, bits: int) -> None:
    earlier, later = job_id_at(time, bits), job_id_at(time + timedelta(milliseconds=1), 0)
    assert 0 <= earlier < later <= MAX_JOB_ID < 2**53


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-11-23T10:00:00Z", "2026-11-23T10:00:00.000Z"),
        ("2026-11-23T10:00:00+05:30", "2026-11-23T04:30:00.000Z"),
        ("2026-11-23 10:00:00", "2026-11-23T10:00:00.000Z"),
        ("2026-11-23t10:00:00z", "2026-11-23T10:00:00.000Z"),
        ("2026-11-23", "2026-11-23T00:00:00.000Z"),
    ],
)
def test_a_visit_time_is_read_as_utc(text: str, utc: str) -> None:
    time = utc_of(text)
    assert time is not None
    assert rfc3339(time) == utc


@pytest.mark.parametrize("text", ["time of store visit", "", "2026-13-01", "0001-01-01T00:00:00+14:00", "noon"])
def test_any_other_text_is_not_a_time(text: str) -> None:
    assert utc_of(text) is None


@given(st.text())
def test_no_visit_time_breaks_the_reader(text: str) -> None:
    utc_of(text)
