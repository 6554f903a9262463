"""The store master: which stores exist, what they are called and which area they are in.

``store_master.csv`` is put there by whoever runs the service, often by way of a spreadsheet. What such a detour does to
a file (CRLF, a byte order mark, spaces around fields, moved or added columns) is accepted; what would make two people
read two different things from it is refused, with the number of the line.
"""

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Self

from retail_pulse.domain.errors import RetailPulseError
from retail_pulse.domain.stores import Store

ID_COLUMN: Final = "StoreID"
NAME_COLUMN: Final = "StoreName"
AREA_COLUMN: Final = "AreaCode"


class StoreMasterError(RetailPulseError):
    """The store master cannot be used; the text names the file, the line and the rule."""


class StoreMaster:
    """The stores by id.

    Parameters
    ----------
    rows
        Name and area code of each store, under its id.
    """

    __slots__ = ("_rows",)

    def __init__(self, rows: Mapping[str, tuple[str, str]]) -> None:
        # A `Store` is made when one is asked for: making all of them costs as much as reading the CSV.
        self._rows = dict(rows)

    @classmethod
    def load(cls) -> Self:
        """Read the ``store_master.csv`` that lies beside this module."""
        return cls.read(Path(__file__).with_name("store_master.csv"))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a store master from a file in UTF-8.

        Raises
        ------
        StoreMasterError
            When the file cannot be read, is no UTF-8, or breaks a rule of `parse`.
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

        The first line that is not blank names the columns: `StoreID`, `StoreName` and `AreaCode` have to be among them,
        in any order. Spaces around a field do not belong to it, and blank lines mean nothing.

        Parameters
        ----------
        text
            The CSV, with or without a byte order mark, its lines ended by LF or CRLF.
        name
            What errors call the text, for instance the name of its file.

        Raises
        ------
        StoreMasterError
            When a column is missing or there twice, a row is too short or too long, an id is empty or there twice, or a
            quote is not closed.
        """
        records = _records(text, name)
        header_line, header = next(records, (1, []))
        header = [column.strip() for column in header]
        for column in (ID_COLUMN, NAME_COLUMN, AREA_COLUMN):
            if header.count(column) != 1:
                rule = "missing" if column not in header else "there more than once"
                raise StoreMasterError(f"{name}, line {header_line}: the column {column} is {rule}")
        width = len(header)
        id_at, name_at, area_at = (header.index(column) for column in (ID_COLUMN, NAME_COLUMN, AREA_COLUMN))

        rows: dict[str, tuple[str, str]] = {}
        lines: dict[str, int] = {}
        for line, row in records:
            if len(row) != width:
                # Spreadsheets leave empty fields behind the last column; anything else there is a comma without quotes.
                if len(row) < width:
                    raise StoreMasterError(f"{name}, line {line}: {len(row)} fields are too few for {width} columns")
                if any(field.strip() for field in row[width:]):
                    raise StoreMasterError(
                        f"{name}, line {line}: {len(row)} fields are too many for {width} columns;"
                        " a field with a comma has to be quoted"
                    )
            store_id = row[id_at].strip()
            if not store_id:
                raise StoreMasterError(f"{name}, line {line}: {ID_COLUMN} is empty")
            if store_id in lines:
                raise StoreMasterError(
                    f"{name}, line {line}: {ID_COLUMN} {store_id} is on line {lines[store_id]} already"
                )
            lines[store_id] = line
            rows[store_id] = (row[name_at].strip(), row[area_at].strip())
        return cls(rows)

    def get(self, store_id: str) -> Store | None:
        """Return the store of an id, or None when there is none."""
        row = self._rows.get(store_id)
        return None if row is None else Store(store_id, *row)

    def stores_of_area(self, area_code: str) -> tuple[Store, ...]:
        """Return the stores of an area in the order of the file; none when the area does not exist."""
        return tuple(Store(store_id, name, area) for store_id, (name, area) in self._rows.items() if area == area_code)

    def __contains__(self, store_id: object) -> bool:
        return store_id in self._rows

    def __iter__(self) -> Iterator[Store]:
        return (Store(store_id, name, area) for store_id, (name, area) in self._rows.items())

    def __len__(self) -> int:
        return len(self._rows)


def _records(text: str, name: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the records that are not blank, each with the number of the line that it starts on."""
    # newline="" keeps the line ends: a quoted field may hold some, and the reader has to see them.
    lines = list(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    # The reader takes the end of the text for the end of a quoted field. A line of our own behind the last one, which
    # such a field swallows, shows that its quote was never closed; strict mode would, but minds spaces behind a quote.
    reader = csv.reader([*lines, "end"], skipinitialspace=True)
    while (start := reader.line_num + 1) <= len(lines):
        try:
            row = next(reader)
        except csv.Error as error:
            raise StoreMasterError(f"{name}, line {start}: {error}; is a quote not closed?") from error
        if reader.line_num > len(lines):
            raise StoreMasterError(f"{name}, line {start}: a quote is not closed")
        if len(row) > 1 or (row and row[0].strip()):
            yield start, row
