"""`Retry-After` in every form of RFC 9110, and in forms that no RFC knows."""

import time
from datetime import UTC, datetime

import pytest

from retail_pulse.measuring.download.retry_after import retry_after

NOW = datetime(2026, 11, 28, 18, 0, 0, tzinfo=UTC).timestamp()


@pytest.fixture(autouse=True)
def _frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        (" 007 ", 7),
        ("Sat, 28 Nov 2026 18:01:40 GMT", 100),
        ("Saturday, 28-Nov-26 18:01:40 GMT", 100),
        ("Sat Nov 28 18:01:40 2026", 100),
        ("Sat, 28 Nov 2026 18:01:40", 100),
        ("Sat, 28 Nov 2026 20:01:40 +0200", 100),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 21_600),
        ("9" * 60, 21_600),
    ],
)
def test_a_number_of_seconds_and_a_date_are_a_bounded_wait(value: str, seconds: float) -> None:
    assert retry_after({"Retry-After": value}) == seconds


@pytest.mark.parametrize(
    "value", ["", " ", "-1", "1.5", "1e3", "7, 8", "٣", "Mon, 99 Foo", "Fri, 31 Dec 99999 23:59:59 GMT", "9" * 5_000]
)
def test_anything_else_is_ignored(value: str) -> None:
    assert retry_after({"Retry-After": value}) is None


def test_a_missing_header_asks_for_nothing() -> None:
    assert retry_after({}) is None
