"""Visits as a file has them, the rules of their texts, and the problems of a file."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

COLUMNS: Final = ("store_id", "visit_time", "image_url")
# The service accepts so many bytes of UTF-8.
MAX_BYTES: Final[Mapping[str, int]] = {"store_id": 64, "visit_time": 128, "image_url": 2048}
_URL: Final = re.compile(r"https?://[^/?#\s]", re.IGNORECASE)
_NOT_IN_CELLS: Final = re.compile(r"[\x00-\x1f\x7f]")
_SHOWN: Final = 40


class Visit(NamedTuple):
    """One store visited at one time, with its images."""

    store_id: str
    visit_time: str
    image_urls: list[str]


class Finding(NamedTuple):
    """A problem or a warning.

    Parameters
    ----------
    row
        The row of the file, where the header is row 1; None in a JSON file, and for the whole file.
    column
        The column, or the place in a JSON file; empty for a whole row.
    problem, fix
        What is wrong, and what to do.
    """

    row: int | None
    column: str
    problem: str
    fix: str


@dataclass(slots=True)
class VisitsFile:
    """What a file has: its good visits, what is wrong, and what deserves a warning."""

    visits: list[Visit] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)
    problems: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)

    @property
    def images(self) -> int:
        """The number of images of the good visits."""
        return sum(len(visit.image_urls) for visit in self.visits)


def text_problem(column: str, text: str) -> tuple[str, str] | None:
    """Return what is wrong with a text of a column and what to do, or None."""
    if not text:
        return "is missing", f"fill in the {column.replace('_', ' ')}"
    if _NOT_IN_CELLS.search(text):
        return "contains a line break or a control character", 'delete it; perhaps a quote (") above is not closed'
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES[column]:
        return f"is longer than {MAX_BYTES[column]:,} bytes (it has {size:,})", "shorten it"
    if column == "image_url" and not _URL.match(text):
        return f"is not a web address: {shown(text)}", "write the whole address, from http:// or https:// on"
    return None


def time_warning(text: str) -> tuple[str, str] | None:
    """Return a warning about a visit's time that is not a date, or None."""
    try:
        # The same rule as the service's.
        datetime.fromisoformat(text.strip().upper())
    except ValueError:
        return f"is not a date: {shown(text)}", "write 2026-11-23T10:00:00Z, or dated reports leave the visit out"
    return None


def shown(text: str) -> str:
    """Return a text in quotes, shortened, without characters that a terminal would obey."""
    printable = "".join(letter if letter.isprintable() else "�" for letter in text)
    return f'"{printable if len(printable) <= _SHOWN else printable[: _SHOWN - 1] + "…"}"'
