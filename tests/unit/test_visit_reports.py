"""Reports over many stores: pages of bounded reads that go on by cursor."""

from collections.abc import Sequence
from datetime import UTC, datetime

from retail_pulse.domain.periods import Period
from retail_pulse.domain.visits import PlacedRow, StoreRows, VisitRow
from retail_pulse.storage.store_master import StoreMaster
from retail_pulse.use_cases.visit_reports import MAX_PAGE_STORES, VisitCursor, VisitReports

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
# Stores with one visit: the first, one in the middle, the last.
VISITED = ("S00000", "S01750", "S03499")


class Rows:
    """Visit rows in memory; counts the stores that are read."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def visit_rows(
        self, client: str, stores: Sequence[tuple[str, str]], period: Period, limit: int, now: datetime
    ) -> list[StoreRows]:
        self.read += [store for store, _ in stores]
        row = PlacedRow("undated#0000000000000001#000000", VisitRow(client, 1, 0, 1, 1, "", "now", 420, 1))
        return [StoreRows([row] if store in VISITED and not after else [], None) for store, after in stores]


def test_a_report_over_3500_stores_goes_on_by_cursor_and_reads_each_store_once() -> None:
    rows = Rows()
    reports = VisitReports(rows, StoreMaster({f"S{each:05}": ("name", "area") for each in range(3_500)}), lambda: NOW)
    cursor: VisitCursor | None = None
    found: list[str] = []
    read: list[int] = []
    while cursor is not None or not read:
        before = len(rows.read)
        page = reports.page("me", "area", None, Period(), cursor, 1000)
        found += [store.store.store_id for store in page.stores]
        read.append(len(rows.read) - before)
        # A client sends a cursor as text.
        cursor = None if page.next_cursor is None else VisitCursor.parse(str(page.next_cursor))
    # Most pages are empty and lead on. Each reads its stores and no more, so the last takes no longer than the first.
    assert found == list(VISITED)
    assert read == [MAX_PAGE_STORES] * 7
    assert rows.read == [f"S{each:05}" for each in range(3_500)]
