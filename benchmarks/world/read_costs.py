"""What a DynamoDB client reads, counted at the client by the published rules."""

import math
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

from benchmarks.world.aws_stand_in.capacity import read_units, size

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_READ_UNIT_BYTES = 4096
READS = frozenset({"GetItem", "BatchGetItem", "Query"})


class ReadCosts:
    """Counts the reads of a client.

    Attributes
    ----------
    calls
        By name.
    items, units
        Items that were found, and read units.
    """

    def __init__(self, client: "DynamoDBClient") -> None:
        self.calls: Counter[str] = Counter()
        self.items = 0
        self.units = 0.0
        # Batches and the queries of a report come from several threads.
        self._lock = threading.Lock()
        client.meta.events.register("provide-client-params.dynamodb.*", self.before)
        client.meta.events.register("after-call.dynamodb.*", self.after)

    def clear(self) -> None:
        """Start again from zero."""
        self.calls.clear()
        self.items, self.units = 0, 0.0

    def before(self, params: dict[str, Any], model: Any, context: dict[str, Any], **_: Any) -> None:
        """Count a request, and remember what its units depend on."""
        tables = list(params.get("RequestItems", {"": params}).values())
        with self._lock:
            self.calls[model.name] += 1
        if model.name in READS:
            context["consistent"] = all(table.get("ConsistentRead") for table in tables)
            context["wanted"] = sum(len(table.get("Keys", [""])) for table in tables)

    def after(self, parsed: dict[str, Any], model: Any, context: dict[str, Any], **_: Any) -> None:
        """Count what a response has."""
        if model.name not in READS:
            return
        found = parsed.get("Items", [parsed["Item"]] if "Item" in parsed else [])
        found = [*found, *(item for items in parsed.get("Responses", {}).values() for item in items)]
        if model.name == "Query":
            # All items of a query are added up before they are rounded.
            units = max(1, math.ceil(sum(map(size, found)) / _READ_UNIT_BYTES))
        else:
            # An item that does not exist costs a unit.
            units = sum(map(read_units, found)) + context["wanted"] - len(found)
        with self._lock:
            self.items += len(found)
            self.units += units if context["consistent"] else units / 2
