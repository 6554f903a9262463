"""Lists as CSV (RFC 4180): the fields of the JSON, with flat names, safe to open in a spreadsheet."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

CSV_TYPE = "text/csv; charset=utf-8"
# A spreadsheet runs a cell that starts with one of these as a formula:
# https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Return rows as CSV, with a header row.

    Parameters
    ----------
    columns
        Names of fields; ``error.code`` is the field ``code`` of the object ``error``, and its column ``error_code``.
        Pairs whose names are not known, as in metadata, are JSON in one cell.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(column.replace(".", "_") for column in columns)
    writer.writerows([_cell(row, column) for column in columns] for row in rows)
    return text.getvalue()


def _cell(row: Mapping[str, Any], column: str) -> Any:
    value: Any = row
    for name in column.split("."):
        value = None if value is None else value[name]
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if isinstance(value, str) and value.startswith(_FORMULA_STARTS):
        return f"'{value}"
    return value
