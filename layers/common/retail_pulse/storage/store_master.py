"""The store master: which stores exist, their names and their areas.

Whoever runs the service provides ``store_master.csv``, often exported from a spreadsheet. What a spreadsheet does to a
file is accepted: CRLF, a byte order mark, spaces around fields, moved or added columns. Anything ambiguous is
refused, with the line number.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn, Self

from retail_pulse.domain.errors import StorageUnavailableError
from retail_pulse.domain.stores import Store

_COLUMNS = ("StoreID", "StoreName", "AreaCode")


# What spreadsheets of some countries put between columns.
_OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs"}

# Its id, and its name and area code.
_Row = tuple[str, tuple[str, str]]


class StoreMasterError(StorageUnavailableError):
    """The store master cannot be used.

    Each of ``problems`` names the file, the line and the rule; the text is the first one.
    """

    def __init__(self, *problems: str) -> None:
        self.problems = problems
        super().__init__(problems[0])


class StoreMaster:
    """The stores by id; ``rows`` has the name and the area code of each."""

    __slots__ = ("_rows",)

    def __init__(self, rows: Mapping[str, tuple[str, str]]) -> None:
        # Creating every `Store` would double the time of a load, so each is created on demand.
        self._rows = dict(rows)

    @classmethod
    def load(cls) -> Self:
        """Read the ``store_master.csv`` next to this module; raise as `read`."""
        return cls.read(Path(__file__).with_name("store_master.csv"))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a store master from a file in UTF-8.

        Raises
        ------
        StoreMasterError
            The file cannot be read, is not UTF-8, or breaks a rule of `parse`.
        """
        try:
            content = path.read_bytes()
        except OSError as error:
            raise StoreMasterError(f"{path.name} cannot be read: {error.strerror}") from error
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            raise StoreMasterError(f"{path.name}, line {line}: the text is not UTF-8") from error
        return cls.parse(text, path.name)

    @classmethod
    def parse(cls, text: str, name: str) -> Self:
        """Read a store master from a text in CSV.

        The first line that is not blank names the columns, in any order. `StoreID`, `StoreName` and `AreaCode` are
        required, and others are ignored. Spaces around a field are removed, and blank lines are skipped.
        The text may have a byte order mark, and LF or CRLF. Errors call it by the name.

        Raises
        ------
        StoreMasterError
            A column is missing or appears twice, a row is too short or too long, an id is empty or appears twice, or a
            quote is not closed. It has all problems, but for what comes after a broken header or an open quote.
        """
        rows: dict[str, tuple[str, str]] = {}
        problems = []
        for line, found in _rows(text):
            if isinstance(found, str):
                problems.append(f"{name}, line {line}: {found}")
            else:
                store_id, rows[store_id] = found
        if problems:
            raise StoreMasterError(*problems)
        return cls(rows)

    def get(self, store_id: str) -> Store | None:
        """Return the store of an id, or None when it does not exist."""
        row = self._rows.get(store_id)
        return None if row is None else Store(store_id, *row)

    def stores_of_area(self, area_code: str) -> tuple[Store, ...]:
        """Return the stores of an area in the order of the file; empty when the area does not exist."""
        return tuple(store for store in self if store.area_code == area_code)

    def __contains__(self, store_id: object) -> bool:
        return store_id in self._rows

    def __iter__(self) -> Iterator[Store]:
        return (Store(store_id, name, area) for store_id, (name, area) in self._rows.items())


class UnusableStoreMaster(StoreMaster):
    """Stands in for a store master that cannot be used: whoever asks for a store gets the error."""

    __slots__ = ("_problems",)

    def __init__(self, error: StoreMasterError) -> None:
        super().__init__({})
        self._problems = error.problems

    def get(self, store_id: str) -> NoReturn:  # noqa: ARG002
        """Raise the error."""
        raise StoreMasterError(*self._problems)

    def __contains__(self, store_id: object) -> NoReturn:
        raise StoreMasterError(*self._problems)

    def __iter__(self) -> NoReturn:
        raise StoreMasterError(*self._problems)


def _rows(text: str) -> Iterator[tuple[int, _Row | str]]:
    """Yield the line of each row with its id, name and area code, or with the rule that it breaks."""
    records = _records(text)
    line, header = next(records, (1, []))
    columns = header if isinstance(header, str) else _columns(header)
    if isinstance(columns, str):
        yield line, columns
        return
    lines: dict[str, int] = {}
    for line, record in records:
        row = record if isinstance(record, str) else _row(record, columns, lines)
        if not isinstance(row, str):
            lines[row[0]] = line
        yield line, row


def _columns(header: Sequence[str]) -> tuple[int, ...] | str:
    """Return the number of columns and the positions of those that are read, or the rule that the header breaks."""
    names = [column.strip() for column in header]
    for column in _COLUMNS:
        if column not in names:
            separators = [name for character, name in _OTHER_SEPARATORS.items() if character in "".join(header)]
            hint = f"; the columns are separated by {separators[0]}: save the file with commas" if separators else ""
            return f"column {column} is missing{hint}"
        if names.count(column) > 1:
            return f"column {column} appears more than once"
    return len(names), *map(names.index, _COLUMNS)


def _row(row: Sequence[str], columns: Sequence[int], lines: Mapping[str, int]) -> _Row | str:
    """Return id, name and area code of a row, or the rule that it breaks. ``lines`` has the lines of ids."""
    width, id_at, name_at, area_at = columns
    if len(row) < width:
        return f"row has {len(row)} fields; the header has {width}"
    # Spreadsheets leave empty fields after the last column. Text in one of them means a comma without quotes.
    if len(row) > width and any(field.strip() for field in row[width:]):
        return f"row has {len(row)} fields; the header has {width}; quote a field that contains a comma"
    store_id = row[id_at].strip()
    if not store_id:
        return "StoreID is empty"
    if store_id in lines:
        return f"StoreID {store_id} is already on line {lines[store_id]}"
    return store_id, (row[name_at].strip(), row[area_at].strip())


def _records(text: str) -> Iterator[tuple[int, list[str] | str]]:
    """Yield the line that each record starts on with its fields, without blank ones.

    When a quote is not closed, the last yielded value is the rule.
    """
    # newline="" keeps the line ends, since a quoted field may contain some.
    lines = list(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    # The reader closes an open quote at the end of the text without an error. An extra last line, which such a quote
    # swallows, shows it. The reader's strict mode would too, but refuses spaces after a quote.
    reader = csv.reader([*lines, "end"], skipinitialspace=True)
    start = 1
    try:
        for row in reader:
            end = reader.line_num
            if end > len(lines):
                if start <= len(lines):
                    yield start, "a quote is not closed"
                return
            if len(row) > 1 or (row and row[0].strip()):
                yield start, row
            start = end + 1
    except csv.Error as error:
        yield start, f"{error}; is a quote not closed?"
