"""DynamoDB tables: single items by their full key, conditions and batches. All units are counted."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.world.aws_stand_in import capacity
from benchmarks.world.aws_stand_in.capacity import Index
from benchmarks.world.aws_stand_in.errors import RefusedError, invalid
from benchmarks.world.aws_stand_in.expressions import Item, condition_holds, updated

_WRITE_BATCH = 25
_READ_BATCH = 100
_READ_BATCH_BYTES = 16 * 1024 * 1024

Request = Mapping[str, Any]
Answer = dict[str, Any]
_Place = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Counts:
    """Totals for one kind of call on one kind of item.

    Parameters
    ----------
    calls
        Requests. A batch is one request.
    items
        Items read or written.
    write_units, read_units
        Units consumed by the table.
    units_of_index
        Write units consumed by each index, by index name.
    """

    calls: int = 0
    items: int = 0
    write_units: int = 0
    read_units: int = 0
    units_of_index: Counter[str] = field(default_factory=Counter)

    @property
    def index_write_units(self) -> int:
        """Write units of all indexes."""
        return sum(self.units_of_index.values())


@dataclass(slots=True)
class Throttle:
    """A limit on write units per second, with a burst of one second. None means no limit.

    DynamoDB keeps unused units for up to five minutes. A table under steady load has none left, so one second is used.
    """

    units_per_second: float | None = None
    _left: float = 0.0
    _at: float | None = None

    def take(self, units: int) -> bool:
        """Spend units and return True, or return False if none are left."""
        if self.units_per_second is None:
            return True
        now = time.monotonic()
        seconds = 0.0 if self._at is None else now - self._at
        self._left = min(self.units_per_second, self._left + seconds * self.units_per_second)
        self._at = now
        if self._left <= 0:
            return False
        self._left -= units
        return True


@dataclass(slots=True)
class _Table:
    key: tuple[str, ...]
    indexes: list[Index]
    items: dict[_Place, Item] = field(default_factory=dict)

    def key_of(self, item: Mapping[str, Any]) -> _Place:
        if not all(name in item for name in self.key):
            raise invalid("One of the required keys was not given a value")
        return tuple(value for name in self.key for value in item[name].items())


class Tables:
    """Answers DynamoDB's calls.

    Attributes
    ----------
    counts
        By the name of the call and the kind of item, which is its partition key up to the first ``#``. A batch counts
        as a call of its first item's kind.
    throttle
        The limit on write units.
    """

    def __init__(self) -> None:
        self._tables: dict[str, _Table] = {}
        self.counts: defaultdict[tuple[str, str], Counts] = defaultdict(Counts)
        self.throttle = Throttle()

    def stored(self) -> dict[str, tuple[int, int]]:
        """Return the number of items of each kind, and the bytes of storage billed for them."""
        found: dict[str, tuple[int, int]] = {}
        for table in self._tables.values():
            for item in table.items.values():
                count, taken = found.get(_kind(item), (0, 0))
                found[_kind(item)] = count + 1, taken + capacity.stored_bytes(table.indexes, item)
        return found

    def answer(self, call: str, request: Request) -> Answer:
        """Answer a call.

        Raises
        ------
        RefusedError
            The call is invalid, unknown or throttled, or its condition does not hold.
        """
        calls = {
            "CreateTable": self._create_table, "GetItem": self._get_item, "PutItem": self._put_item,
            "UpdateItem": self._update_item, "BatchWriteItem": self._batch_write_item,
            "BatchGetItem": self._batch_get_item,
        }  # fmt: skip
        if call not in calls:
            raise RefusedError("UnknownOperationException", f"the stand-in does not support {call}")
        return calls[call](request)

    def _table(self, name: str) -> _Table:
        if name not in self._tables:
            raise RefusedError("ResourceNotFoundException", f"Requested resource not found: Table: {name} not found")
        return self._tables[name]

    def _create_table(self, request: Request) -> Answer:
        key = tuple(part["AttributeName"] for part in request["KeySchema"])
        indexes = []
        for index in request.get("GlobalSecondaryIndexes", ()):
            index_key = tuple(part["AttributeName"] for part in index["KeySchema"])
            projected = {*key, *index_key, *index["Projection"].get("NonKeyAttributes", ())}
            indexes.append(Index(index["IndexName"], index_key, frozenset(projected)))
        self._tables[request["TableName"]] = _Table(key, indexes)
        return {"TableDescription": {"TableName": request["TableName"], "TableStatus": "ACTIVE"}}

    # ------------------------------------------------------------------ single items

    def _get_item(self, request: Request) -> Answer:
        table, key = self._table(request["TableName"]), request["Key"]
        item = table.items.get(table.key_of(key))
        self._count_call("GetItem", key)
        self._count_read("GetItem", key, item)
        return {} if item is None else {"Item": item}

    def _put_item(self, request: Request) -> Answer:
        return self._write("PutItem", request, request["Item"], lambda _: request["Item"])

    def _update_item(self, request: Request) -> Answer:
        key = request["Key"]
        return self._write("UpdateItem", request, key, lambda before: updated(request, before or key))

    def _write(self, call: str, request: Request, key: Item, change: Callable[[Item | None], Item]) -> Answer:
        table = self._table(request["TableName"])
        place = table.key_of(key)
        before = table.items.get(place)
        # The condition comes first: the update may be impossible on an item that the condition rules out.
        holds = condition_holds(request, before or {})
        after = change(before) if holds else None
        if after is not None:
            _check(after)
        # A write whose condition does not hold consumes the units of the stored item.
        if not self._consume(call, table, key, before, after):
            raise _throttled()
        self._count_call(call, key)
        if after is None:
            wants_item = request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
            more = {"Item": before} if wants_item and before is not None else {}
            raise RefusedError("ConditionalCheckFailedException", "The conditional request failed", **more)
        table.items[place] = after
        return {"Attributes": after} if request.get("ReturnValues") == "ALL_NEW" else {}

    # ------------------------------------------------------------------ batches

    def _batch_write_item(self, request: Request) -> Answer:
        requests = request["RequestItems"].items()
        puts = [(name, each["PutRequest"]["Item"]) for name, several in requests for each in several]
        places = self._places("BatchWriteItem", puts, _WRITE_BATCH)
        for _, item in puts:
            _check(item)
        self._count_call("BatchWriteItem", puts[0][1])
        left: defaultdict[str, list[Any]] = defaultdict(list)
        for (name, item), place in zip(puts, places, strict=True):
            table = self._table(name)
            if self._consume("BatchWriteItem", table, item, table.items.get(place), item):
                table.items[place] = item
            else:
                left[name].append({"PutRequest": {"Item": item}})
        if sum(map(len, left.values())) == len(puts):
            raise _throttled()
        return {"UnprocessedItems": left}

    def _batch_get_item(self, request: Request) -> Answer:
        wanted = [(name, key) for name, keys in request["RequestItems"].items() for key in keys["Keys"]]
        places = self._places("BatchGetItem", wanted, _READ_BATCH)
        self._count_call("BatchGetItem", wanted[0][1])
        found: dict[str, list[Item]] = {name: [] for name in request["RequestItems"]}
        left: dict[str, Any] = {}
        room = _READ_BATCH_BYTES
        for (name, key), place in zip(wanted, places, strict=True):
            item = self._table(name).items.get(place)
            room -= capacity.size(item or {})
            if room < 0:
                left.setdefault(name, request["RequestItems"][name] | {"Keys": []})["Keys"].append(key)
                continue
            self._count_read("BatchGetItem", key, item)
            if item is not None:
                found[name].append(item)
        return {"Responses": found, "UnprocessedKeys": left}

    def _places(self, call: str, items: Sequence[tuple[str, Item]], limit: int) -> list[_Place]:
        """Return where each item of a batch is stored, by the name of its table and the item or its key."""
        places = [self._table(name).key_of(item) for name, item in items]
        if not 1 <= len(items) <= limit:
            raise invalid(f"Too many items requested for the {call} call")
        if len({(name, place) for (name, _), place in zip(items, places, strict=True)}) < len(items):
            raise invalid("Provided list of item keys contains duplicates")
        return places

    # ------------------------------------------------------------------ counts

    def _count_call(self, call: str, key: Item) -> None:
        self.counts[call, _kind(key)].calls += 1

    def _count_read(self, call: str, key: Item, item: Item | None) -> None:
        counts = self.counts[call, _kind(key)]
        counts.items += 1
        counts.read_units += capacity.read_units(item)

    def _consume(self, call: str, table: _Table, key: Item, before: Item | None, after: Item | None) -> bool:
        """Count the units of a write, and return whether the throttle allows it."""
        units = capacity.write_units(before, after)
        if not self.throttle.take(units):
            return False
        counts = self.counts[call, _kind(key)]
        counts.items += 1
        counts.write_units += units
        for index in table.indexes if after is not None else ():
            counts.units_of_index[index.name] += index.write_units(before, after)
        return True


def _check(item: Item) -> None:
    if capacity.size(item) > capacity.MAX_ITEM_BYTES:
        raise invalid("Item size has exceeded the maximum allowed size")
    if any(value in ({"SS": []}, {"NS": []}) for value in item.values()):
        raise invalid("One or more parameter values were invalid: An empty set")


def _kind(item: Item) -> str:
    kind: str = item["pk"]["S"].partition("#")[0]
    return kind


def _throttled() -> RefusedError:
    text = "The level of configured provisioned throughput for the table was exceeded"
    return RefusedError("ProvisionedThroughputExceededException", text)
