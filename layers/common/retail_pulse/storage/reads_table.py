"""What lists and reports read: a client's jobs by the time of their submission, and visit rows by store and time."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from retail_pulse.domain.jobs import Job, JobStatus
from retail_pulse.domain.periods import Period
from retail_pulse.domain.times import rfc3339
from retail_pulse.domain.visits import PlacedRow, StoreRows
from retail_pulse.storage import items
from retail_pulse.storage.table import Table
from retail_pulse.storage.values import expression_values, read

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


# Sort keys of visit rows begin with a time, or with "undated". These come before them all, after the times, after all.
_BEFORE_ALL, _AFTER_TIMES, _AFTER_ALL = "!", ":", "~"


class ReadsTable:
    """Reads of one client at a time. The DynamoDB client needs room for sixteen connections.

    Every method raises `StorageUnavailableError` when DynamoDB does not accept the request, however often it is
    repeated.
    """

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self._table = Table(client, name)

    def listed_jobs(self, client: str, first: int, last: int, page: int) -> Iterator[tuple[int, JobStatus]]:
        """Yield id and status of a client's jobs, both ids included, newest first.

        The index may lag behind, so a new job can be missing for a moment, and a status can be an earlier one.
        A request reads so many of them as a page has.
        """
        found = self._table.query(
            "client = :client AND job_id BETWEEN :first AND :last",
            expression_values(client=client, first=first, last=last),
            index="by_client", page=page, descending=True,
        )  # fmt: skip
        for item in found:
            yield int(item["job_id"]["N"]), JobStatus(item["status"]["S"])

    def jobs(self, client: str, job_ids: Sequence[int]) -> list[Job]:
        """Read some of a client's jobs, in the order of their ids as given; those that do not exist are left out."""
        keys = [items.job_key(client, job_id) for job_id in job_ids]
        found = {job.job_id: job for job in map(items.job_from, self._table.read_all(keys) if keys else ())}
        return [found[job_id] for job_id in job_ids if job_id in found]

    def visit_rows(
        self, client: str, stores: Sequence[tuple[str, str]], period: Period, limit: int, now: datetime
    ) -> list[StoreRows]:
        """Read visit rows of stores, several stores at once; undated ones only without a period.

        Parameters
        ----------
        stores
            Ids, each with the position of the last visit before the rows, or an empty text.
        limit
            How many rows to read per store; more to complete the last visit.
        now
            The time, since DynamoDB's TTL deletes late: rows that have expired are left out.
        """
        return self._table.in_parallel(lambda store: self._rows_of(client, *store, period, limit, now), stores)

    def _rows_of(self, client: str, store_id: str, after: str, period: Period, limit: int, now: datetime) -> StoreRows:
        first = _BEFORE_ALL if period.start is None else rfc3339(period.start)
        last = _AFTER_ALL if period.is_unbounded else _AFTER_TIMES if period.end is None else rfc3339(period.end)
        # "$" comes after the "#" that a position has before its parts.
        first = max(first, f"{after}$" if after else first)
        if first > last:
            return StoreRows((), None)
        found = self._table.query(
            "pk = :partition AND sk BETWEEN :first AND :last",
            expression_values(partition=items.visit_row_partition(client, store_id), first=first, last=last),
            page=limit + 1,
        )
        rows: list[PlacedRow] = []
        previous = ""
        for count, item in enumerate(found):
            position = items.visit_position(item)
            if count >= limit and position != previous:
                return StoreRows(rows, previous)
            previous = position
            if read(item["expires_at"]) > now.timestamp():
                rows.append(PlacedRow(position, items.visit_row_from(item)))
        return StoreRows(rows, None)
