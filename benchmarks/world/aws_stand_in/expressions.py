"""DynamoDB's update and condition expressions, as far as this project writes them.

Grammar: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.html. Left out are indexes into
lists, arithmetic, ``NOT``, ``IN``, ``BETWEEN`` and every function but the three below: they raise `ExpressionError`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

Value = dict[str, Any]
Item = dict[str, Value]
Path = tuple[str, ...]

_TOKEN = re.compile(r"\s*([#:]?[A-Za-z_][A-Za-z0-9_]*|<=|>=|<>|[=<>(),.])")
_SECTIONS = ("SET", "REMOVE", "ADD", "DELETE")
_COMPARATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "<>": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


class ExpressionError(ValueError):
    """An expression that is none, or that cannot be applied to the item."""


@dataclass(frozen=True, slots=True)
class _Operand:
    """A value's placeholder, a path, or ``if_not_exists`` of a path and a placeholder."""

    path: Path | None
    value: str | None


@dataclass(frozen=True, slots=True)
class Update:
    """A parsed update expression; names and values are still placeholders."""

    sets: tuple[tuple[Path, _Operand], ...]
    removes: tuple[Path, ...]
    adds: tuple[tuple[Path, str], ...]
    deletes: tuple[tuple[Path, str], ...]

    def apply(self, item: Item, names: Mapping[str, str], values: Mapping[str, Value]) -> Item:
        """Return the item as it is after the update; the given one stays as it is.

        Raises
        ------
        ExpressionError
            A path leads through something that is no map, or a set is changed by another type.
        """
        result = dict(item)
        copied: set[Path] = set()

        def parent(path: Path) -> tuple[Item, str]:
            """Return the map that holds the path's last name: a copy, made once."""
            level = result
            for depth, name in enumerate(path[:-1], 1):
                if "M" not in level.get(name, {}):
                    raise ExpressionError("The document path provided in the update expression is invalid for update")
                if path[:depth] not in copied:
                    level[name] = {"M": dict(level[name]["M"])}
                    copied.add(path[:depth])
                level = level[name]["M"]
            return level, path[-1]

        for path, operand in self.sets:
            # Operands are read from the item as it was.
            found = None if operand.path is None else _find(item, _resolve(operand.path, names))
            if found is None:
                if operand.value is None:
                    raise ExpressionError("The provided expression refers to an attribute that does not exist")
                found = values[operand.value]
            level, name = parent(_resolve(path, names))
            level[name] = found
        for path in self.removes:
            level, name = parent(_resolve(path, names))
            level.pop(name, None)
        for path, placeholder in self.adds:
            level, name = parent(_resolve(path, names))
            level[name] = _added(level.get(name), values[placeholder])
        for path, placeholder in self.deletes:
            level, name = parent(_resolve(path, names))
            if name in level and (rest := _without(level[name], values[placeholder])) is not None:
                level[name] = rest
            else:
                level.pop(name, None)
        return result


Condition = Callable[[Item, Mapping[str, str], Mapping[str, Value]], bool]


def _resolve(path: Path, names: Mapping[str, str]) -> Path:
    return tuple(names[part] if part.startswith("#") else part for part in path)


def _find(item: Item, path: Path) -> Value | None:
    level: Value | None = {"M": item}
    for name in path:
        level = (level or {}).get("M", {}).get(name)
    return level


def _added(old: Value | None, new: Value) -> Value:
    ((kind, content),) = new.items()
    if old is not None and kind not in old:
        raise ExpressionError("An operand in the update expression has an incorrect data type")
    if kind == "N":
        return {"N": str(Decimal(old["N"] if old else 0) + Decimal(content))}
    if kind in ("NS", "SS", "BS"):
        return {kind: sorted({*(old[kind] if old else ()), *content})}
    raise ExpressionError("ADD takes numbers and sets")


def _without(old: Value, members: Value) -> Value | None:
    ((kind, content),) = members.items()
    if kind not in old:
        raise ExpressionError("An operand in the update expression has an incorrect data type")
    left = sorted(set(old[kind]) - set(content))
    return {kind: left} if left else None


def _comparable(value: Value) -> tuple[str, Any]:
    ((kind, content),) = value.items()
    return kind, Decimal(content) if kind == "N" else content


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens: list[str] = []
        place = 0
        while text[place:].strip():
            match = _TOKEN.match(text, place)
            if match is None:
                raise ExpressionError(f"unexpected text at {text[place:][:20]!r}")
            self._tokens.append(match[1])
            place = match.end()
        self._next = 0

    def peek(self) -> str:
        return self._tokens[self._next] if self._next < len(self._tokens) else ""

    def take(self, *expected: str) -> str:
        token = self.peek()
        if not token or (expected and token.upper() not in expected):
            raise ExpressionError(f"{token or 'the end'} where {' or '.join(expected) or 'more'} is expected")
        self._next += 1
        return token

    def maybe(self, token: str) -> bool:
        if self.peek().upper() != token:
            return False
        self._next += 1
        return True

    def path(self) -> Path:
        parts = [self.take()]
        while self.maybe("."):
            parts.append(self.take())
        return tuple(parts)

    def placeholder(self) -> str:
        token = self.take()
        if not token.startswith(":"):
            raise ExpressionError(f"{token} where a value is expected")
        return token

    # ------------------------------------------------------------------ updates

    def update(self) -> Update:
        sets: list[tuple[Path, _Operand]] = []
        removes: list[Path] = []
        changes: dict[str, list[tuple[Path, str]]] = {"ADD": [], "DELETE": []}
        while self.peek():
            section = self.take(*_SECTIONS).upper()
            while True:
                path = self.path()
                if section == "SET":
                    self.take("=")
                    sets.append((path, self._operand()))
                elif section == "REMOVE":
                    removes.append(path)
                else:
                    changes[section].append((path, self.placeholder()))
                if not self.maybe(","):
                    break
        return Update(tuple(sets), tuple(removes), tuple(changes["ADD"]), tuple(changes["DELETE"]))

    def _operand(self) -> _Operand:
        if self.peek().startswith(":"):
            return _Operand(None, self.placeholder())
        if not self.maybe("IF_NOT_EXISTS"):
            return _Operand(self.path(), None)
        self.take("(")
        path = self.path()
        self.take(",")
        value = self.placeholder()
        self.take(")")
        return _Operand(path, value)

    # ------------------------------------------------------------------ conditions

    def condition(self) -> Condition:
        result = self._any_of()
        if self.peek():
            raise ExpressionError(f"{self.peek()} where the end is expected")
        return result

    def _any_of(self) -> Condition:
        terms = [self._all_of()]
        while self.maybe("OR"):
            terms.append(self._all_of())
        return lambda item, names, values: any(term(item, names, values) for term in terms)

    def _all_of(self) -> Condition:
        terms = [self._term()]
        while self.maybe("AND"):
            terms.append(self._term())
        return lambda item, names, values: all(term(item, names, values) for term in terms)

    def _term(self) -> Condition:
        if self.maybe("("):
            inner = self._any_of()
            self.take(")")
            return inner
        for function, wanted in (("ATTRIBUTE_EXISTS", True), ("ATTRIBUTE_NOT_EXISTS", False)):
            if self.maybe(function):
                self.take("(")
                path = self.path()
                self.take(")")
                return _existence(path, wanted)
        left = self.path()
        comparator = self.take(*_COMPARATORS)
        return _comparison(left, _COMPARATORS[comparator], self.path())


def _existence(path: Path, wanted: bool) -> Condition:
    return lambda item, names, _: (_find(item, _resolve(path, names)) is not None) is wanted


def _comparison(left: Path, compare: Callable[[Any, Any], bool], right: Path) -> Condition:
    def holds(item: Item, names: Mapping[str, str], values: Mapping[str, Value]) -> bool:
        a, b = (
            values[side[0]] if side[0].startswith(":") else _find(item, _resolve(side, names)) for side in (left, right)
        )
        if a is None or b is None:
            return False
        (kind_a, content_a), (kind_b, content_b) = _comparable(a), _comparable(b)
        # Values of two types are unequal, and neither is smaller.
        return compare(content_a, content_b) if kind_a == kind_b else compare is _COMPARATORS["<>"]

    return holds


@lru_cache(maxsize=4096)
def parse_update(text: str) -> Update:
    """Parse an update expression."""
    return _Parser(text).update()


@lru_cache(maxsize=256)
def parse_condition(text: str) -> Condition:
    """Parse a condition expression into a function of the item (empty where there is none), names and values."""
    return _Parser(text).condition()
