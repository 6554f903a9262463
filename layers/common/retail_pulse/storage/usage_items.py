"""Usage as items of the table: one per client and day."""

from datetime import UTC, date, datetime, time, timedelta

from retail_pulse.domain.usage import DayUsage
from retail_pulse.storage.values import Item, Key

# Longer than the 31 days that a client can read.
_KEPT = timedelta(days=40)


def usage_partition(client: str) -> str:
    """Return the partition key of a client's usage."""
    return f"USAGE#{client}"


def usage_key(client: str, day: date) -> Key:
    """Return the key of a client's usage of a day."""
    return {"pk": {"S": usage_partition(client)}, "sk": {"S": day.isoformat()}}


def expiry(day: date) -> int:
    """Return when DynamoDB deletes the usage of a day, in seconds of the epoch."""
    return int((datetime.combine(day, time(), UTC) + _KEPT).timestamp())


def usage_from(item: Item) -> DayUsage:
    """Read a day's usage from its item."""
    return DayUsage(date.fromisoformat(item["sk"]["S"]), int(item["images"]["N"]), int(item["requests"]["N"]))
