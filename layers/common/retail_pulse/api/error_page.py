"""The page of codes: docs/errors.md as HTML. It has only headings, paragraphs, tables, and code within them."""

import base64
import hashlib
import re
from collections.abc import Iterator
from functools import cache
from html import escape
from pathlib import Path

from retail_pulse.api.description import head

# A link in the checkout, a file in the built layer.
_FILE = Path(__file__).with_name("errors.md")
_STYLE = (
    "body{font:1rem/1.5 sans-serif;max-width:70rem;margin:auto;padding:1rem}"
    "div{overflow-x:auto}table{border-collapse:collapse}tr:target{background:#ffd}"
    "td,th{padding:.3rem .6rem;border:1px solid #bbb;text-align:left;vertical-align:top}"
)
_digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_digest}'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


@cache
def page() -> str:
    """Return the page; the row of each code has the code as its anchor."""
    blocks = _FILE.read_text(encoding="utf-8").strip().split("\n\n")
    return f"{head('Retail Pulse: codes of errors', _STYLE)}<body>{''.join(map(_block, blocks))}</body></html>"


def _block(text: str) -> str:
    if text.startswith("#"):
        marks, _, heading = text.partition(" ")
        return f"<h{len(marks)}>{_line(heading)}</h{len(marks)}>"
    if text.startswith("|"):
        head, _, *rows = text.splitlines()
        names = "".join(f"<th>{cell}</th>" for cell in _cells(head))
        return f"<div><table><tr>{names}</tr>{''.join(map(_row, rows))}</table></div>"
    return f"<p>{_line(text)}</p>"


def _row(text: str) -> str:
    cells = list(_cells(text))
    anchor = re.sub("<.*?>", "", cells[0])
    return f'<tr id="{anchor}">' + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _cells(row: str) -> Iterator[str]:
    return (_line(cell.strip()) for cell in row.strip("|").split("|"))


def _line(text: str) -> str:
    return re.sub("`(.+?)`", r"<code>\1</code>", escape(text, quote=False))
