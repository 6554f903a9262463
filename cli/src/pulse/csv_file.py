"""Reads and writes visits as CSV, one row per image, as a spreadsheet saves it."""

import codecs
import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from pulse.visits import COLUMNS, Finding, Visit, VisitsFile, shown, text_problem, time_warning

_SEPARATORS: Final = (",", ";")
# A spreadsheet runs a cell that starts with one of these as a formula; a ' before it prevents that.
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")
_SAVE_AS: Final = "save it as “CSV UTF-8” in the spreadsheet program"


def read_csv(content: bytes) -> VisitsFile:
    """Read visits from the content of a CSV file.

    Notes
    -----
    The header names `COLUMNS` in any order and case; other columns are ignored. Rows with the same store and time make
    one visit, in order of their first appearance. A row with a problem is in no visit.
    """
    found = VisitsFile()
    text = _text(content, found)
    if text is None:
        return found
    separator = _separator(text)
    rows = _rows(text, separator, found)
    header = next(rows, None)
    if found.problems:
        # The quotes of the header are wrong, so what was read is not the header.
        return found
    if header is None:
        found.problems.append(Finding(None, "", "the file is empty", f"add a header {','.join(COLUMNS)} and rows"))
        return found
    places = _places(*header, found)
    if places is not None:
        _read_rows(rows, places, len(header[1]), separator, found)
    return found


def _text(content: bytes, found: VisitsFile) -> str | None:
    if content.startswith(b"PK\x03\x04"):
        found.problems.append(Finding(None, "", "the file is an Excel workbook, not CSV", _SAVE_AS))
        return None
    try:
        return content.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError as error:
        row = None if b"\0" in content else content.count(b"\n", 0, error.start) + 1
        found.problems.append(Finding(row, "", "the file is not UTF-8 text", _SAVE_AS))
        return None


def _separator(text: str) -> str:
    """Return the separator by which the first line has more of the columns."""
    header = next((line for line in text.splitlines() if line.strip()), "")

    def known(separator: str) -> int:
        return sum(name in COLUMNS for name in map(_column, header.split(separator)))

    return max(_SEPARATORS, key=known)


def _column(cell: str) -> str:
    return cell.strip().strip('"').strip().lower()


def _rows(text: str, separator: str, found: VisitsFile) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that are not blank with their numbers, and note those whose quotes are wrong."""
    # The rule of its column says that a cell is too long.
    csv.field_size_limit(max(len(text), csv.field_size_limit()))
    lines = list(io.StringIO(text, newline=""))
    number = following = 0
    while following < len(lines):
        first = following
        reader = csv.reader(map(lines.__getitem__, range(first, len(lines))), delimiter=separator, strict=True)
        try:
            for cells in reader:
                number += 1
                following = first + reader.line_num
                if any(cell.strip() for cell in cells):
                    yield number, cells
        except csv.Error:
            # The next line is read as a row, so that a quote hides neither the rows after it nor their numbers.
            number += 1
            following += 1
            fix = 'a cell that contains " needs quotes around it, and each " in it twice'
            found.problems.append(Finding(number, "", 'has a quote (") that is not closed or out of place', fix))


def _places(row: int, header: list[str], found: VisitsFile) -> Mapping[str, int] | None:
    """Return where each column is; None when the header has problems."""
    names = [_column(cell) for cell in header]
    for column in COLUMNS:
        if column not in names:
            fix = f"name a column {column}; the columns are {', '.join(map(shown, header[:6]))}"
            if len(header) == 1 and "\t" in header[0]:
                fix = f"separate the columns by {' or '.join(_SEPARATORS)} in place of tabs"
            found.problems.append(Finding(row, column, "the column is missing", fix))
        elif names.count(column) > 1:
            found.problems.append(Finding(row, column, "there are several such columns", "keep only one of them"))
    return None if found.problems else {column: names.index(column) for column in COLUMNS}


def _read_rows(
    rows: Iterable[tuple[int, list[str]]], places: Mapping[str, int], width: int, separator: str, found: VisitsFile
) -> None:
    visits: dict[tuple[str, str], Visit] = {}
    has_rows = False
    for number, cells in rows:
        has_rows = True
        if any(cell.strip() for cell in cells[width:]):
            fix = f"put quotes around a cell that contains {separator!r}"
            found.problems.append(Finding(number, "", f"has {len(cells)} cells for {width} columns", fix))
            continue
        values = _values(number, cells, places, found)
        if values is not None:
            store_id, visit_time, image_url = values
            visits.setdefault((store_id, visit_time), Visit(store_id, visit_time, [])).image_urls.append(image_url)
    found.visits = list(visits.values())
    if not has_rows and not found.problems:
        found.problems.append(Finding(None, "", "the file has no rows after its header", "add a row for each image"))


def _values(number: int, cells: list[str], places: Mapping[str, int], found: VisitsFile) -> list[str] | None:
    """Return the row's texts in the order of `COLUMNS`; None when one of them has a problem."""
    values = []
    is_good = True
    for column in COLUMNS:
        cell = cells[places[column]] if places[column] < len(cells) else ""
        value = _without_prefix(cell.strip())
        problem = text_problem(column, value)
        if problem:
            is_good = False
            found.problems.append(Finding(number, column, *problem))
            continue
        if value != cell and cell != cell.strip():
            found.warnings.append(Finding(number, column, "has blanks around it", "they are removed"))
        warning = time_warning(value) if column == "visit_time" else None
        if warning:
            found.warnings.append(Finding(number, column, *warning))
        values.append(value)
    return values if is_good else None


def _without_prefix(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA_STARTS) else cell


def csv_row(cells: Sequence[Any]) -> str:
    """Return a row as CSV, safe to open in a spreadsheet; `read_csv` reads the same texts back."""
    line = io.StringIO()
    safe = [f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA_STARTS) else cell for cell in cells]
    csv.writer(line).writerow(safe)
    return line.getvalue()
