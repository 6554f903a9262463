"""Usage: what a client uses on a day, and the daily limit that a key may have. Days are those of UTC."""

import math
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

from retail_pulse.domain.errors import RetryLaterError
from retail_pulse.domain.times import rfc3339


class DayUsage(NamedTuple):
    """What a client has used on a day: images of its submissions, and requests with a valid key."""

    day: date
    images: int = 0
    requests: int = 0


class CountedImages(NamedTuple):
    """Images of a submission that are counted for its client, and when."""

    client: str
    images: int
    at: datetime


class DailyLimitError(RetryLaterError):
    """A submission has more images than its key's daily limit leaves.

    Parameters
    ----------
    images
        Of the submission.
    used
        Images that the client has used today.
    limit
        The daily limit; it may be smaller than the submission, which then fits into no day.
    now
        The time.
    """

    def __init__(self, images: int, used: int, limit: int, now: datetime) -> None:
        reset = resets_at(now)
        left = f"{used:,} are used, and it resets at {rfc3339(reset)}"
        rule = left if images <= limit else "so send it as smaller jobs"
        text = f"visits has {images:,} images in total; the daily limit of this API key is {limit:,} images, {rule}"
        super().__init__(text, math.ceil((reset - now).total_seconds()))


def resets_at(now: datetime) -> datetime:
    """Return the end of the day, when a daily limit begins again."""
    return datetime.combine(now.date() + timedelta(days=1), time(), UTC)
