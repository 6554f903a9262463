"""The size of an item in bytes, and the units that reading and writing it consumes.

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

MAX_ITEM_BYTES = 400 * 1024
_WRITE_UNIT_BYTES = 1024
_READ_UNIT_BYTES = 4096
# DynamoDB bills this storage on top of each item and each index entry.
_STORED_OVERHEAD_BYTES = 100
_CONTAINER_BYTES = 3
_ELEMENT_BYTES = 1


@dataclass(frozen=True, slots=True)
class Index:
    """A secondary index: its name, its key attributes, and all attributes that it copies from the table."""

    name: str
    key: tuple[str, ...]
    projected: frozenset[str]

    def entry(self, item: Item | None) -> Item | None:
        """Return the index entry of an item, None if the item lacks a key attribute."""
        if item is None or any(name not in item for name in self.key):
            return None
        return {name: value for name, value in item.items() if name in self.projected}

    def write_units(self, before: Item | None, after: Item | None) -> int:
        """Return the units that a write to the table consumes in the index.

        An unchanged entry costs nothing. A changed key costs two writes: one deletes the old entry, one adds the new.
        """
        old, new = self.entry(before), self.entry(after)
        if old == new:
            return 0
        if old is None or new is None or all(old[name] == new[name] for name in self.key):
            return write_units(old, new)
        return write_units(old, None) + write_units(None, new)


def size(item: Item) -> int:
    """Return the size of an item in bytes."""
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
        case "SS" | "NS":
            return sum(_value_size({kind[0]: member}) for member in content)
        case "L":
            return _CONTAINER_BYTES + sum(_value_size(each) + _ELEMENT_BYTES for each in content)
        case "M":
            return _CONTAINER_BYTES + size(content) + _ELEMENT_BYTES * len(content)
    raise ValueError(f"values of type {kind} are not supported")


def _number_size(number: str) -> int:
    """Return the size of a number: one byte per two significant digits, plus one, plus one for a minus sign."""
    whole, _, fraction = number.lstrip("-").partition(".")
    digits = (whole.lstrip("0") + fraction).rstrip("0") if fraction else whole.strip("0")
    return math.ceil(len(digits) / 2) + 1 + number.startswith("-")


def write_units(before: Item | None, after: Item | None) -> int:
    """Return the units of a write: those of the larger item, before or after it, and at least one."""
    return max(1, math.ceil(max(size(before or {}), size(after or {})) / _WRITE_UNIT_BYTES))


def read_units(item: Item | None) -> int:
    """Return the units of a consistent read, which is one if the item is missing."""
    return max(1, math.ceil(size(item or {}) / _READ_UNIT_BYTES))


def stored_bytes(indexes: Sequence[Index], item: Item) -> int:
    """Return the storage that is billed for an item and its index entries."""
    entries = [entry for index in indexes if (entry := index.entry(item)) is not None]
    return sum(size(each) + _STORED_OVERHEAD_BYTES for each in [item, *entries])
