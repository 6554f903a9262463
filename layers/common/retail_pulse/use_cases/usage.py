"""Use case: counts what clients use, and reports it.

Images are counted with every submission. Requests are counted in memory and written in batches: a write costs five
times the read that it would count.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple, Protocol

from retail_pulse.domain.errors import StorageUnavailableError
from retail_pulse.domain.usage import CountedImages, DailyLimitError, DayUsage, resets_at

_log = logging.getLogger(__name__)

# A client's requests are written when there are this many of them, or this long after the first one.
BATCH_REQUESTS = 50
BATCH_SECONDS = 60
# Days before today that a report covers.
REPORT_DAYS = 30


class UsageStore(Protocol):
    """What counting needs from the table."""

    def add_usage(self, client: str, at: datetime, images: int, requests: int, limit: int | None = None) -> None: ...
    def usage(self, client: str, first: date, last: date) -> list[DayUsage]: ...


class UsageReport(NamedTuple):
    """A client's usage.

    Parameters
    ----------
    today
        What the client has used today.
    limit
        The daily limit of the calling key; None without one.
    resets_at
        The end of today.
    days
        The 30 days before today, newest first, without those of no usage.
    """

    client: str
    today: DayUsage
    limit: int | None
    resets_at: datetime
    days: list[DayUsage]

    @property
    def remaining(self) -> int | None:
        """How many images the limit leaves today; None without a limit."""
        return None if self.limit is None else max(0, self.limit - self.today.images)


@dataclass(slots=True)
class _Batch:
    """Requests that are not written yet, and when the first one came."""

    since: datetime
    requests: int = 0


class Usage:
    """Counts images and requests by client and day."""

    def __init__(self, store: UsageStore, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._store = store
        self._now = now
        # By client and day, the oldest first.
        self._batches: dict[tuple[str, date], _Batch] = {}

    def count_request(self, client: str) -> None:
        """Count a request; at most one batch is written, so that no request waits for the batches of all clients."""
        now = self._now()
        key = client, now.date()
        batch = self._batches.setdefault(key, _Batch(now))
        batch.requests += 1
        oldest, first = next(iter(self._batches.items()))
        if batch.requests >= BATCH_REQUESTS:
            self._write(key)
        elif now - first.since >= timedelta(seconds=BATCH_SECONDS):
            self._write(oldest)

    def count_images(self, client: str, images: int, limit: int | None) -> CountedImages:
        """Count the images of a submission, with the client's requests so far.

        Raises
        ------
        DailyLimitError
            The client's images of today would be more than the limit; nothing is counted.
        """
        now = self._now()
        if limit is not None and images > limit:
            raise DailyLimitError(images, 0, limit, now)
        batch = self._batches.get((client, now.date()), _Batch(now))
        self._store.add_usage(client, now, images, batch.requests, limit)
        self._batches.pop((client, now.date()), None)
        return CountedImages(client, images, now)

    def give_back(self, counted: CountedImages) -> None:
        """Subtract the images of a submission that did not become a job; if the table refuses, they stay counted."""
        try:
            self._store.add_usage(counted.client, counted.at, -counted.images, 0)
        except StorageUnavailableError as error:
            text = "%d images of client %s stay counted: %s"
            _log.warning(text, counted.images, counted.client, error, extra={"client": counted.client})

    def report(self, client: str, limit: int | None) -> UsageReport:
        """Report a client's usage, with all requests of this environment."""
        now = self._now()
        today = now.date()
        if (client, today) in self._batches:
            self._write((client, today))
        found = {usage.day: usage for usage in self._store.usage(client, today - timedelta(days=REPORT_DAYS), today)}
        of_today = found.pop(today, DayUsage(today))
        return UsageReport(client, of_today, limit, resets_at(now), [found[day] for day in sorted(found, reverse=True)])

    def _write(self, key: tuple[str, date]) -> None:
        """Write a batch; one that the table refuses is lost, since no request fails because of its count."""
        batch = self._batches.pop(key)
        try:
            self._store.add_usage(key[0], batch.since, 0, batch.requests)
        except StorageUnavailableError as error:
            text = "%d requests of client %s are not counted: %s"
            _log.warning(text, batch.requests, key[0], error, extra={"client": key[0]})
