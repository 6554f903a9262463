"""Usage in the table: counters per client and day."""

from datetime import date, datetime
from typing import TYPE_CHECKING

from retail_pulse.domain.usage import DailyLimitError, DayUsage
from retail_pulse.storage import usage_items as items
from retail_pulse.storage.errors import ConditionFailedError
from retail_pulse.storage.table import Table
from retail_pulse.storage.values import expression_values

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class UsageTable:
    """The usage of all clients.

    Both methods raise `StorageUnavailableError` when DynamoDB does not accept the request, however often it is
    repeated.
    """

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self._table = Table(client, name)

    def add_usage(self, client: str, at: datetime, images: int, requests: int, limit: int | None = None) -> None:
        """Add to what a client has used on the day of a time.

        Condition: the item does not have the mark of this update, so that a repeat by the SDK, after a lost response,
        does not count twice. It does if another update came in between, so the count is then too high.

        Raises
        ------
        DailyLimitError
            The client's images of the day would be more than the limit; nothing is added.
        """
        day = at.date()
        room = None if limit is None else limit - images
        fits = "" if room is None else " AND (attribute_not_exists(images) OR images <= :room)"
        values = expression_values(images=images, requests=requests, room=room, expires_at=items.expiry(day))
        try:
            self._table.update(
                items.usage_key(client, day),
                "SET #mark = :mark, expires_at = :expires_at ADD images :images, requests :requests",
                values,
                f"NOT #mark = :mark{fits}",
            )
        except ConditionFailedError as failure:
            # Only the limit can refuse: `update` accepts an item that has the mark.
            used = items.usage_from(failure.item).images
            raise DailyLimitError(images, used, limit or 0, at) from None

    def usage(self, client: str, first: date, last: date) -> list[DayUsage]:
        """Read a client's usage of some days, both included; days without usage are left out."""
        days = {"partition": items.usage_partition(client), "first": first.isoformat(), "last": last.isoformat()}
        found = self._table.query("pk = :partition AND sk BETWEEN :first AND :last", expression_values(**days))
        return [items.usage_from(item) for item in found]
