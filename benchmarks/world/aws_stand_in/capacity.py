"""What DynamoDB makes of an item: its size in bytes, and the units that reading and writing it consumes.

The rules are published:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html (sizes) and
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html (units).
"""

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Item = Mapping[str, Mapping[str, Any]]

WRITE_UNIT_BYTES = 1024
READ_UNIT_BYTES = 4096
LARGEST_ITEM_BYTES = 400 * 1024
# What DynamoDB stores beside each item and each entry of an index.
STORED_OVERHEAD_BYTES = 100
_CONTAINER_BYTES = 3
_ELEMENT_BYTES = 1


@dataclass(frozen=True, slots=True)
class Index:
    """A secondary index: its name, its key's attributes, and those that it holds beside the table's own key."""

    name: str
    key: tuple[str, ...]
    projected: frozenset[str]

    def entry(self, item: Item | None) -> Item | None:
        """Return what the index holds of an item; None where an attribute of the key is absent."""
        if item is None or any(name not in item for name in self.key):
            return None
        return {name: value for name, value in item.items() if name in self.projected}

    def write_units(self, before: Item | None, after: Item | None) -> int:
        """Return the units of what a write of the table does to the index.

        Nothing where the entry stays as it is; two writes, the old entry's removal and the new one, where its key
        changes.
        """
        old, new = self.entry(before), self.entry(after)
        if old == new:
            return 0
        if old is None or new is None or all(old[name] == new[name] for name in self.key):
            return write_units(old, new)
        return write_units(old, None) + write_units(None, new)


def size(item: Item) -> int:
    """Return an item's size in bytes."""
    return sum(len(name.encode()) + _value_size(value) for name, value in item.items())


def _value_size(value: Mapping[str, Any]) -> int:
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "N":
            return _number_size(content)
        case "B":
            return len(base64.b64decode(content))
        case "BOOL" | "NULL":
            return 1
        case "SS":
            return sum(len(text.encode()) for text in content)
        case "NS":
            return sum(map(_number_size, content))
        case "L":
            return _CONTAINER_BYTES + sum(_value_size(each) + _ELEMENT_BYTES for each in content)
        case "M":
            return _CONTAINER_BYTES + size(content) + _ELEMENT_BYTES * len(content)
    raise ValueError(f"a value of type {kind} is not counted here")


def _number_size(number: str) -> int:
    """Return a number's size: a byte for each two significant digits, one more, and one for a minus sign."""
    whole, _, fraction = number.lstrip("-").partition(".")
    digits = (whole.lstrip("0") + fraction).rstrip("0") if fraction else whole.strip("0")
    return math.ceil(len(digits) / 2) + 1 + number.startswith("-")


def write_units(before: Item | None, after: Item | None) -> int:
    """Return the units of a write: the larger of the item before and after it counts, and at least one unit."""
    largest = max(size(item) for item in (before or {}, after or {}))
    return max(1, math.ceil(largest / WRITE_UNIT_BYTES))


def read_units(item: Item | None) -> int:
    """Return the units of a consistent read; one that finds nothing consumes one."""
    return max(1, math.ceil(size(item or {}) / READ_UNIT_BYTES))


def index_write_units(indexes: Sequence[Index], before: Item | None, after: Item | None) -> dict[str, int]:
    """Return the units of what a write does to each index, by its name."""
    return {index.name: index.write_units(before, after) for index in indexes}


def stored_bytes(indexes: Sequence[Index], item: Item) -> int:
    """Return what an item takes of the storage that is billed, its index entries included."""
    entries = [entry for entry in (index.entry(item) for index in indexes) if entry is not None]
    return sum(size(each) + STORED_OVERHEAD_BYTES for each in [item, *entries])
