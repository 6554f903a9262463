"""DynamoDB attribute values: their types, and how they are written and read."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from retail_pulse.domain.times import rfc3339

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    Item = Mapping[str, AttributeValueTypeDef]
    Value = AttributeValueTypeDef
    Key = dict[str, AttributeValueTypeDef]
else:
    Item = Value = Key = Any

# What `write` accepts; numbers are in a set, which must not be empty.
Plain = str | int | datetime | Iterable[int]


def write(value: Plain) -> Value:
    """Write a value."""
    match value:
        case bool():
            return {"BOOL": value}
        case int():
            return {"N": str(value)}
        case str():
            return {"S": value}
        case datetime():
            return {"S": rfc3339(value)}
    return {"NS": [str(member) for member in sorted(value)]}


def read(value: Value) -> Any:
    """Read a text, an integer, a boolean or a set of integers."""
    ((kind, content),) = value.items()
    match kind, content:
        case "N", str():
            return int(content)
        case "NS", list():
            return frozenset(map(int, content))
    return content


def time_from(text: str) -> datetime:
    """Read a time in UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)


def attributes(**values: Plain | None) -> dict[str, Value]:
    """Write values under their names; None and an empty set have no attribute."""
    return {name: write(value) for name, value in values.items() if value is not None and value != frozenset()}


def expression_values(**values: Plain | None) -> dict[str, Value]:
    """Write the values that an expression names: ``run=1`` is its ``:run``; None is left out."""
    return {f":{name}": value for name, value in attributes(**values).items()}
