"""Tables as DynamoDB keeps them: single items by their whole key, conditions, batches; units are counted."""

import json
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.world.aws_stand_in import capacity
from benchmarks.world.aws_stand_in.capacity import Index
from benchmarks.world.aws_stand_in.errors import RefusedError
from benchmarks.world.aws_stand_in.expressions import ExpressionError, Item, parse_condition, parse_update

_WRITE_BATCH = 25
_READ_BATCH = 100
_READ_BATCH_BYTES = 16 * 1024 * 1024

Request = Mapping[str, Any]
Answer = dict[str, Any]


@dataclass(slots=True)
class Counts:
    """What the calls of one kind, on items of one kind, came to.

    Parameters
    ----------
    calls
        Requests; a batch is one.
    items
        Items read or written.
    write_units, read_units
        Consumed of the table.
    units_of_index
        Write units consumed of each index, by its name.
    """

    calls: int = 0
    items: int = 0
    write_units: int = 0
    read_units: int = 0
    units_of_index: dict[str, int] = field(default_factory=dict)

    @property
    def index_write_units(self) -> int:
        """Write units of all indexes."""
        return sum(self.units_of_index.values())


@dataclass(slots=True)
class Throttle:
    """So many write units a second are taken, and what was saved up in one second; None: any number.

    DynamoDB keeps the unused units of up to five minutes; one second is what a table under steady load has.
    """

    units_a_second: float | None = None
    _left: float = 0.0
    _at: float = field(default_factory=time.monotonic)

    def take(self, units: int) -> bool:
        """Take units, unless the account is overdrawn."""
        if self.units_a_second is None:
            return True
        now = time.monotonic()
        self._left = min(self.units_a_second, self._left + (now - self._at) * self.units_a_second)
        self._at = now
        if self._left <= 0:
            return False
        self._left -= units
        return True


@dataclass(slots=True)
class _Table:
    key: tuple[str, ...]
    indexes: list[Index]
    items: dict[tuple[str, ...], Item] = field(default_factory=dict)

    def key_of(self, item: Mapping[str, Any]) -> tuple[str, ...]:
        if not all(name in item for name in self.key):
            raise RefusedError("ValidationException", "One of the required keys was not given a value")
        return tuple(json.dumps(item[name], sort_keys=True) for name in self.key)


class Tables:
    """Answers DynamoDB's calls.

    Attributes
    ----------
    counts
        By the call's name and the kind of item: its partition key up to the first ``#``. The call itself is counted
        with the kind of its first item.
    throttle
        How many write units are taken.
    """

    def __init__(self) -> None:
        self._tables: dict[str, _Table] = {}
        self.counts: defaultdict[tuple[str, str], Counts] = defaultdict(Counts)
        self.throttle = Throttle()

    def stored(self) -> dict[str, tuple[int, int]]:
        """Return how many items of each kind there are, and what they take of the storage that is billed, in bytes."""
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
            The call is wrong, unknown, throttled, or its condition does not hold.
        """
        calls = {
            "CreateTable": self._create_table,
            "PutItem": self._put_item,
            "GetItem": self._get_item,
            "UpdateItem": self._update_item,
            "BatchWriteItem": self._batch_write_item,
            "BatchGetItem": self._batch_get_item,
        }
        if call not in calls:
            raise RefusedError("UnknownOperationException", f"the stand-in does not know {call}")
        try:
            return calls[call](request)
        except ExpressionError as error:
            raise RefusedError("ValidationException", str(error)) from error

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
        table = self._table(request["TableName"])
        item = table.items.get(table.key_of(request["Key"]))
        self._count_read("GetItem", request["Key"], item)
        self._count_call("GetItem", request["Key"])
        return {} if item is None else {"Item": item}

    def _put_item(self, request: Request) -> Answer:
        return self._write("PutItem", request, request["Item"], request["Item"])

    def _update_item(self, request: Request) -> Answer:
        table = self._table(request["TableName"])
        before = table.items.get(table.key_of(request["Key"]), dict(request["Key"]))
        names, values = request.get("ExpressionAttributeNames", {}), request.get("ExpressionAttributeValues", {})
        update = parse_update(request["UpdateExpression"])
        # The condition comes first: an update may be impossible on the item that it refuses.
        return self._write("UpdateItem", request, request["Key"], lambda: update.apply(before, names, values))

    def _write(self, call: str, request: Request, key: Item, after: Any) -> Answer:
        table = self._table(request["TableName"])
        place = table.key_of(key)
        before = table.items.get(place)
        if "ConditionExpression" in request:
            condition = parse_condition(request["ConditionExpression"])
            names, values = request.get("ExpressionAttributeNames", {}), request.get("ExpressionAttributeValues", {})
            if not condition(before or {}, names, values):
                # A write that is refused consumes what the item that is there would.
                self._take(capacity.write_units(before, None))
                self._count_call(call, key)
                self._count_write(call, key, capacity.write_units(before, None), {})
                wants_item = request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD" and before is not None
                raise RefusedError(
                    "ConditionalCheckFailedException",
                    "The conditional request failed",
                    **({"Item": before} if wants_item else {}),
                )
        new: Item = after() if callable(after) else after
        self._check(new)
        units = capacity.write_units(before, new)
        self._take(units)
        self._count_call(call, key)
        self._count_write(call, key, units, capacity.index_write_units(table.indexes, before, new))
        table.items[place] = new
        return {"Attributes": new} if request.get("ReturnValues") == "ALL_NEW" else {}

    # ------------------------------------------------------------------ batches

    def _batch_write_item(self, request: Request) -> Answer:
        requests = [(name, each) for name, several in request["RequestItems"].items() for each in several]
        places = [(name, self._table(name).key_of(each["PutRequest"]["Item"])) for name, each in requests]
        if not 1 <= len(requests) <= _WRITE_BATCH:
            raise RefusedError("ValidationException", "Too many items requested for the BatchWriteItem call")
        if len(set(places)) < len(places):
            raise RefusedError("ValidationException", "Provided list of item keys contains duplicates")
        for _, each in requests:
            self._check(each["PutRequest"]["Item"])
        self._count_call("BatchWriteItem", requests[0][1]["PutRequest"]["Item"])
        left: defaultdict[str, list[Any]] = defaultdict(list)
        for (name, place), (_, each) in zip(places, requests, strict=True):
            table, item = self._table(name), each["PutRequest"]["Item"]
            before = table.items.get(place)
            units = capacity.write_units(before, item)
            if not self.throttle.take(units):
                left[name].append(each)
                continue
            index_units = capacity.index_write_units(table.indexes, before, item)
            self._count_write("BatchWriteItem", item, units, index_units)
            table.items[place] = item
        if sum(map(len, left.values())) == len(requests):
            raise _throttled()
        return {"UnprocessedItems": left}

    def _batch_get_item(self, request: Request) -> Answer:
        wanted = [(name, key) for name, keys in request["RequestItems"].items() for key in keys["Keys"]]
        places = [(name, self._table(name).key_of(key)) for name, key in wanted]
        if not 1 <= len(wanted) <= _READ_BATCH:
            raise RefusedError("ValidationException", "Too many items requested for the BatchGetItem call")
        if len(set(places)) < len(places):
            raise RefusedError("ValidationException", "Provided list of item keys contains duplicates")
        self._count_call("BatchGetItem", wanted[0][1])
        found: dict[str, list[Item]] = {name: [] for name in request["RequestItems"]}
        left: dict[str, Any] = {}
        room = _READ_BATCH_BYTES
        for (name, place), (_, key) in zip(places, wanted, strict=True):
            item = self._table(name).items.get(place)
            room -= capacity.size(item or {})
            if room < 0:
                left.setdefault(name, request["RequestItems"][name] | {"Keys": []})["Keys"].append(key)
                continue
            self._count_read("BatchGetItem", key, item)
            if item is not None:
                found[name].append(item)
        return {"Responses": found, "UnprocessedKeys": left}

    # ------------------------------------------------------------------ rules and counts

    def _check(self, item: Item) -> None:
        if capacity.size(item) > capacity.LARGEST_ITEM_BYTES:
            raise RefusedError("ValidationException", "Item size has exceeded the maximum allowed size")
        if any({"SS", "NS"} & value.keys() and not next(iter(value.values())) for value in item.values()):
            raise RefusedError("ValidationException", "One or more parameter values were invalid: An empty set")

    def _take(self, units: int) -> None:
        if not self.throttle.take(units):
            raise _throttled()

    def _count_call(self, call: str, key: Item) -> None:
        self.counts[call, _kind(key)].calls += 1

    def _count_read(self, call: str, key: Item, item: Item | None) -> None:
        counts = self.counts[call, _kind(key)]
        counts.items += 1
        counts.read_units += capacity.read_units(item)

    def _count_write(self, call: str, key: Item, units: int, index_units: Mapping[str, int]) -> None:
        counts = self.counts[call, _kind(key)]
        counts.items += 1
        counts.write_units += units
        for name, of_index in index_units.items():
            counts.units_of_index[name] = counts.units_of_index.get(name, 0) + of_index


def _kind(item: Mapping[str, Any]) -> str:
    values: Iterable[str] = next(iter(item.values())).values() if "pk" not in item else item["pk"].values()
    return next(iter(values)).partition("#")[0]


def _throttled() -> RefusedError:
    return RefusedError(
        "ProvisionedThroughputExceededException",
        "The level of configured provisioned throughput for the table was exceeded",
    )
