"""DynamoDB attribute values: their types, and how numbers, sets and times are written and read."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    Item = Mapping[str, AttributeValueTypeDef]
    Value = AttributeValueTypeDef
    Key = dict[str, AttributeValueTypeDef]
else:
    Item = Value = Key = Any


def number_set(members: Iterable[int]) -> Value:
    """Write a set of numbers, which must not be empty."""
    return {"NS": [str(member) for member in sorted(members)]}


def members(item: Item, name: str) -> frozenset[int]:
    """Read a set of numbers; empty when it is absent."""
    return frozenset(int(member) for member in item[name]["NS"]) if name in item else frozenset()


def optional_int(item: Item, name: str) -> int:
    """Read an integer; 0 when it is absent."""
    return int(item[name]["N"]) if name in item else 0


def number(value: int) -> Value:
    """Write an integer."""
    return {"N": str(value)}


def time_from(value: Value) -> datetime:
    """Read a time in UTC."""
    return datetime.fromisoformat(value["S"]).astimezone(UTC)
