"""Use case: reports the perimeters of a client's visits, by store and time."""

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import NamedTuple, Protocol

from retail_pulse.domain.errors import InvalidRequestError
from retail_pulse.domain.periods import Period
from retail_pulse.domain.stores import Store
from retail_pulse.domain.times import utc_of
from retail_pulse.domain.visits import StoreRows

# Stores and rows that a page reads at most; its last store may have more rows.
MAX_PAGE_STORES = 500
MAX_PAGE_ROWS = 5000
# Stores that are read at once: at first one, since a single one may fill the page.
_LARGEST_BATCH = 16
# A position as `storage/items.py` writes it; a cursor without one begins with the first visit of its store.
_POSITION = re.compile("([0-9A-Za-z:.-]{1,24}#[0-9]{16}#[0-9]{6})?")


class VisitRowStore(Protocol):
    """What reports need from the table."""

    def visit_rows(
        self, client: str, stores: Sequence[tuple[str, str]], period: Period, limit: int, now: datetime
    ) -> list[StoreRows]: ...


class Stores(Protocol):
    """What reports need from the store master."""

    def get(self, store_id: str) -> Store | None: ...
    def stores_of_area(self, area_code: str) -> Sequence[Store]: ...
    def __iter__(self) -> Iterator[Store]: ...


class VisitCursor(NamedTuple):
    """A position in a report: a store, and the position of the last visit before the page; empty for none."""

    store_id: str
    position: str

    def __str__(self) -> str:
        return base64.urlsafe_b64encode(f"{self.position}\n{self.store_id}".encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, cursor: str) -> "VisitCursor":
        """Read a cursor.

        Raises
        ------
        InvalidRequestError
            The text is not a cursor.
        """
        try:
            padded = cursor + "=" * (-len(cursor) % 4)
            text = base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True).decode()
        except (binascii.Error, UnicodeError):
            text = ""
        position, newline, store_id = text.partition("\n")
        if not newline or not _POSITION.fullmatch(position):
            raise InvalidRequestError("cursor must be the next_cursor of an earlier response")
        return cls(store_id, position)


class MeasuredVisit(NamedTuple):
    """A visit whose images are all measured; ``time`` is None when the client's text is not a time."""

    time: datetime | None
    perimeter: int


class StoreVisits(NamedTuple):
    """The visits to a store, in the order of time."""

    store: Store
    visits: list[MeasuredVisit]


class VisitPage(NamedTuple):
    """Stores that have visits, by id, and where the next page begins."""

    stores: list[StoreVisits]
    next_cursor: VisitCursor | None


@dataclass(frozen=True, slots=True)
class VisitReports:
    """Reports visits of one client at a time."""

    store: VisitRowStore
    stores: Stores
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def page(
        self, client: str, area: str | None, store_id: str | None, period: Period, start: VisitCursor | None, limit: int
    ) -> VisitPage:
        """Read a page of at most ``limit`` visits.

        Raises
        ------
        InvalidRequestError
            The store master does not have the area or the store.
        """
        stores = self._stores_of(area, store_id, start)
        found: list[StoreVisits] = []
        visits_left, rows_left = limit, MAX_PAGE_ROWS
        for store, after, read in self._rows(client, stores, period, start, limit):
            if not visits_left or rows_left <= 0:
                return VisitPage(found, VisitCursor(store.store_id, after))
            visits, next_after = _measured_visits(read, after, visits_left)
            if visits:
                found.append(StoreVisits(store, visits))
            if next_after is not None:
                return VisitPage(found, VisitCursor(store.store_id, next_after))
            visits_left -= len(visits)
            rows_left -= len(read.rows)
        beyond = stores[MAX_PAGE_STORES:]
        return VisitPage(found, VisitCursor(beyond[0].store_id, "") if beyond else None)

    def _stores_of(self, area: str | None, store_id: str | None, start: VisitCursor | None) -> list[Store]:
        """Return the stores that a report is about, by id, from the one of the cursor on."""
        one = None if store_id is None else self.stores.get(store_id)
        if store_id is not None and one is None:
            raise InvalidRequestError("storeid is not a store of the store master")
        stores: Iterable[Store] = self.stores if area is None else self.stores.stores_of_area(area)
        if area is not None and not stores:
            raise InvalidRequestError("area is not an area of the store master")
        if one is not None:
            stores = [one] if area in {None, one.area_code} else []
        first = "" if start is None else start.store_id
        return sorted((each for each in stores if each.store_id >= first), key=lambda store: store.store_id)

    def _rows(
        self, client: str, stores: Sequence[Store], period: Period, start: VisitCursor | None, limit: int
    ) -> Iterator[tuple[Store, str, StoreRows]]:
        """Yield each store that a page may read, the position after which its rows begin, and these rows."""
        now = self.now()
        first, size = 0, 1
        while first < min(len(stores), MAX_PAGE_STORES):
            batch = stores[first : min(first + size, MAX_PAGE_STORES)]
            afters = [start.position if start and start.store_id == store.store_id else "" for store in batch]
            asked = [(store.store_id, after) for store, after in zip(batch, afters, strict=True)]
            yield from zip(batch, afters, self.store.visit_rows(client, asked, period, limit, now), strict=True)
            first += len(batch)
            size = min(_LARGEST_BATCH, 2 * size)


def _measured_visits(read: StoreRows, after: str, limit: int) -> tuple[list[MeasuredVisit], str | None]:
    """Return the visits of rows, up to a limit, and the position after which there are more; None when there are not.

    A visit is left out while one of its parts has no row.
    """
    visits: list[MeasuredVisit] = []
    for position, placed in groupby(read.rows, key=lambda placed: placed.position):
        parts = [each.row for each in placed]
        if len(parts) == parts[0].parts:
            if len(visits) == limit:
                return visits, after
            visits.append(MeasuredVisit(utc_of(parts[0].visit_time), sum(part.perimeter for part in parts)))
        after = position
    return visits, read.next_after
