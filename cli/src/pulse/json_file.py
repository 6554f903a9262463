"""Reads visits from a JSON file: the body of a submission, as the API takes it."""

import codecs
import json
from typing import Any, Final

from pulse.visits import COLUMNS, Finding, Visit, VisitsFile, text_problem, time_warning

_MAX_PAIRS: Final = 16
_MAX_KEY_BYTES: Final = 64
_MAX_VALUE_BYTES: Final = 512


def is_json(content: bytes) -> bool:
    """Return whether the content of a file begins as JSON does; the header of a CSV file never does."""
    return content.removeprefix(codecs.BOM_UTF8).lstrip()[:1] in {b"{", b"["}


def read_json(content: bytes) -> VisitsFile:
    """Read visits from the content of a JSON file; a visit or an image with a problem is left out."""
    found = VisitsFile()

    def problem(place: str, what: str, fix: str) -> None:
        found.problems.append(Finding(None, place, what, fix))

    try:
        body = json.loads(content.removeprefix(codecs.BOM_UTF8).decode("utf-8"))
    except (ValueError, RecursionError) as error:
        problem("", f"the file is not JSON: {error}", "correct it there")
        return found
    if not isinstance(body, dict) or not isinstance(body.get("visits"), list) or not body["visits"]:
        problem("visits", "is missing or not a list of visits", 'write {"count": …, "visits": […]}')
        return found
    visits = body["visits"]
    if body.get("count", len(visits)) != len(visits):
        problem("count", f"is {body['count']}; the number of visits is {len(visits):,}", "correct it")
    for number, visit in enumerate(visits):
        _read_visit(visit, f"visits[{number}]", found)
    found.metadata = _metadata(body.get("metadata", {}), found)
    return found


def _read_visit(sent: Any, place: str, found: VisitsFile) -> None:
    if not isinstance(sent, dict):
        found.problems.append(Finding(None, place, "must be an object", f"give it {', '.join(COLUMNS)}"))
        return
    before = len(found.problems)
    store_id = _checked("store_id", sent.get("store_id", ""), f"{place}.store_id", found)
    visit_time = _checked("visit_time", sent.get("visit_time", ""), f"{place}.visit_time", found)
    is_good = len(found.problems) == before
    urls = sent.get("image_url")
    if not isinstance(urls, list) or not urls:
        found.problems.append(Finding(None, f"{place}.image_url", "must be a list of addresses", "list its images"))
        return
    checked = [_checked("image_url", url, f"{place}.image_url[{number}]", found) for number, url in enumerate(urls)]
    good = [url for url in checked if url is not None]
    if is_good and store_id and visit_time and good:
        warning = time_warning(visit_time)
        if warning:
            found.warnings.append(Finding(None, f"{place}.visit_time", *warning))
        found.visits.append(Visit(store_id, visit_time, good))


def _checked(column: str, value: Any, place: str, found: VisitsFile) -> str | None:
    problem = text_problem(column, value) if isinstance(value, str) else ("must be a text", "put it in quotes")
    if problem is None and not _is_unicode(value):
        problem = ("contains half a character (a lone surrogate)", "write the whole character")
    if problem is None:
        return str(value)
    found.problems.append(Finding(None, place, *problem))
    return None


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _metadata(sent: Any, found: VisitsFile) -> dict[str, str]:
    fix = f"give at most {_MAX_PAIRS} pairs of texts, of {_MAX_KEY_BYTES} and {_MAX_VALUE_BYTES} bytes"
    if isinstance(sent, dict) and len(sent) <= _MAX_PAIRS and all(_is_pair(*pair) for pair in sent.items()):
        return sent
    found.problems.append(Finding(None, "metadata", "is not what the service accepts", fix))
    return {}


def _is_pair(key: str, value: Any) -> bool:
    if not isinstance(value, str) or not _is_unicode(key + value):
        return False
    return 0 < len(key.encode()) <= _MAX_KEY_BYTES and len(value.encode()) <= _MAX_VALUE_BYTES
