"""The query of a request: which parameters it has, and their values."""

from collections.abc import Collection
from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from typing import TypeVar
from urllib.parse import parse_qsl, quote, urlencode

from retail_pulse.api.negotiation import prefers_csv
from retail_pulse.domain.errors import InvalidRequestError
from retail_pulse.domain.periods import Period, bound
from retail_pulse.domain.text import decimal, printable

_NAME_CHARACTERS_SHOWN = 40
_Kind = TypeVar("_Kind", bound=StrEnum)


class Query:
    """The query of a request to a route that knows these parameters.

    Parameters
    ----------
    raw
        The query as it was sent: API Gateway joins the values of a repeated parameter with commas.
    path, accept
        The request's path, and its Accept header.
    known, repeatable
        The route's parameters, and those of them that may be repeated.

    Raises
    ------
    InvalidRequestError
        The route does not know a parameter, or it is repeated.
    """

    def __init__(
        self, raw: str, path: str, accept: str, known: Collection[str], repeatable: Collection[str] = ()
    ) -> None:
        self._pairs = parse_qsl(raw, keep_blank_values=True)
        self._path = path
        names = [name for name, _ in self._pairs]
        for name in names:
            if name not in known:
                raise InvalidRequestError(f"{_shown(name)} is not a parameter of this route")
            if name not in repeatable and names.count(name) > 1:
                raise InvalidRequestError(f"{name} must not be repeated")
        self.wants_csv = self._wants_csv(accept) if "format" in known else False

    def _wants_csv(self, accept: str) -> bool:
        match self.text("format"):
            case None:
                return prefers_csv(accept)
            case "csv" | "json" as form:
                return form == "csv"
        raise InvalidRequestError("format must be json or csv")

    def text(self, name: str) -> str | None:
        """Return a parameter; None when it is absent."""
        return dict(self._pairs).get(name)

    def value(self, name: str) -> str | None:
        """Return a parameter whose value means something; None when it is absent.

        Raises
        ------
        InvalidRequestError
            The value is empty.
        """
        text = self.text(name)
        if text == "":
            raise InvalidRequestError(f"{name} must not be empty")
        return text

    def integer(self, name: str, default: int, minimum: int, maximum: int) -> int:
        """Return a parameter that is an integer; the default when it is absent.

        Raises
        ------
        InvalidRequestError
            The parameter is not an integer, or not within the bounds.
        """
        text = self.text(name)
        number = default if text is None else decimal(text, max_digits=9)
        if number is None or not minimum <= number <= maximum:
            raise InvalidRequestError(f"{name} must be an integer from {minimum:,} to {maximum:,}")
        return number

    def kind(self, name: str, kinds: type[_Kind]) -> _Kind | None:
        """Return a parameter that names a kind; None when it is absent. See `kinds`."""
        return next(iter(self.kinds(name, kinds)), None)

    def kinds(self, name: str, kinds: type[_Kind]) -> frozenset[_Kind]:
        """Return a parameter that may be repeated and names kinds; empty when it is absent.

        Raises
        ------
        InvalidRequestError
            A value is not one of the kinds.
        """
        values = [value for key, value in self._pairs if key == name]
        if not set(values) <= set(kinds):
            raise InvalidRequestError(f"{name} must be {', '.join(list(kinds)[:-1])} or {list(kinds)[-1]}")
        return frozenset(map(kinds, values))

    def period(self, first: str, last: str, zone: tzinfo = UTC) -> Period:
        """Return the period between two parameters, in a time zone unless they have an offset.

        Raises
        ------
        InvalidRequestError
            A parameter is not a date or a date-time, or the period ends before it begins.
        """
        start = self._bound(first, zone, is_end=False)
        last_start, end = (self._bound(last, zone, is_end=is_end) for is_end in (False, True))
        # A date's own start is not its end: the midnight after it is also after it.
        if start is not None and last_start is not None and end is not None and start > last_start and start >= end:
            raise InvalidRequestError(f"{first} must not be after {last}")
        return Period(start, end)

    def _bound(self, name: str, zone: tzinfo, *, is_end: bool) -> datetime | None:
        text = self.text(name)
        try:
            return None if text is None else bound(text, zone, is_end=is_end)
        except ValueError:
            raise InvalidRequestError(
                f"{name} must be a date or a date-time of RFC 3339, such as 2026-11-23 or 2026-11-23T10:00:00Z"
            ) from None

    def next_link(self, cursor: str) -> str:
        """Return the URL of the next page: the same query with another cursor."""
        pairs = [pair for pair in self._pairs if pair[0] != "cursor"]
        return f"{quote(self._path)}?{urlencode([*pairs, ('cursor', cursor)])}"


def _shown(name: str) -> str:
    """Return an unknown name as an error shows it: in quotes when it is empty or has blanks."""
    shown = printable(name)
    if len(shown) > _NAME_CHARACTERS_SHOWN:
        shown = f"{shown[:_NAME_CHARACTERS_SHOWN]}…"
    return shown if shown and " " not in shown else f'"{shown}"'
