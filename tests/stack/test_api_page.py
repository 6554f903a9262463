"""docs/api.md: its curl lines really run, in order, and every answer has the shape that the page shows."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from local.images.server import ImageServer
from local.stack.process import StackProcess
from retail_pulse.domain.api_keys import new_key
from retail_pulse.storage.api_keys_table import ApiKeysTable
from tests.support.checkout import text
from tests.support.description import DESCRIPTION
from tests.support.waiting import END_SECONDS

PAGE = text("docs/api.md")
_EXAMPLE = re.compile(
    r"^```sh\n(?P<commands>.*?)^```$(?:\n\n```(?P<kind>json|http|csv|text)\n(?P<answer>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)


class Example(NamedTuple):
    """Commands of the page, and the answer that it shows."""

    commands: str
    kind: str | None
    answer: str | None


EXAMPLES = [Example(*found.group("commands", "kind", "answer")) for found in _EXAMPLE.finditer(PAGE)]


def differences(shown: Any, got: Any, place: str = "answer") -> Iterator[str]:
    """Yield where JSON has other keys or types than the page shows. An empty list of the page shows no rows."""
    if isinstance(shown, dict) and isinstance(got, dict):
        if shown.keys() != got.keys():
            yield f"{place} has {sorted(got)}, the page shows {sorted(shown)}"
        for name in shown.keys() & got.keys():
            yield from differences(shown[name], got[name], f"{place}.{name}")
    elif isinstance(shown, list) and isinstance(got, list):
        if shown and len(got) != len(shown):
            yield f"{place} has {len(got)} rows, the page shows {len(shown)}"
        for number, (one, other) in enumerate(zip(shown, got, strict=False)):
            yield from differences(one, other, f"{place}[{number}]")
    elif type(shown) is not type(got):
        yield f"{place} is {got!r}, the page shows {shown!r}"


def compare(kind: str, shown: str, got: str) -> list[str]:
    """Return how an answer differs from the page's."""
    match kind:
        case "json":
            return list(differences(json.loads(shown), json.loads(got)))
        case "csv":
            shown_rows, rows = shown.strip().splitlines(), got.strip().splitlines()
            if (rows[:1], len(rows)) == (shown_rows[:1], len(shown_rows)):
                return []
        case "http":
            (shown_head, _, shown_body), (head, _, body) = shown.partition("\n\n"), got.partition("\n\n")
            content = "csv" if "text/csv" in head else "json" if shown_body.strip() else "text"
            return [*compare_heads(shown_head, head), *compare(content, shown_body, body)]
        case _:
            if shown.split() == got.split():
                return []
    return [f"the page shows {shown!r}, but it is {got!r}"]


def compare_heads(shown: str, got: str) -> Iterator[str]:
    """Yield where the status, or a header that the page shows, differs. Ids and cursors are numbers of the run."""
    (shown_status, *shown_headers), (status, *headers) = shown.strip().splitlines(), got.strip().splitlines()
    if shown_status.split()[1] != status.split()[1]:
        yield f"the status is {status}, the page shows {shown_status}"
    known = {re.sub(r"\d+", "0", f"{name.lower()}:{value}") for name, _, value in (h.partition(":") for h in headers)}
    for header in shown_headers:
        name, _, value = re.sub(r"\d+", "0", header).partition(":")
        if f"{name.lower()}:{value}" not in known:
            yield f"the page shows the header {header}, but there are {headers}"


@pytest.fixture
def settings(stack: StackProcess, images: ImageServer, picture: bytes) -> str:
    """The page's variables for this stack, with the key of a client without jobs of other tests."""
    key = new_key()
    ApiKeysTable(stack.client("dynamodb"), stack.table_name).issue(key, "page-reader")
    for name in ("2.jpg", "3.jpg"):
        images.add(f"/{name}", picture)
    return f"API={stack.url} KEY={key} IMAGES={images.url('')}"


@pytest.mark.skipif(shutil.which("curl") is None, reason="the lines of docs/api.md are not run: there is no curl")
@pytest.mark.skipif(shutil.which("bash") is None, reason="the lines of docs/api.md are not run: there is no bash")
def test_the_lines_of_the_page_give_its_answers(settings: str, tmp_path: Path) -> None:
    first, *rest = EXAMPLES
    assert re.findall(r"^(\w+)=", first.commands, re.MULTILINE) == re.findall(r"(\w+)=", settings)
    script = "set -u\n" + "".join(
        f"exec >{number}.answer\n{settings if example is first else example.commands}\n"
        for number, example in enumerate(EXAMPLES)
    )
    (tmp_path / "page.sh").write_text(script, encoding="utf-8")
    environment = {"PATH": os.environ["PATH"], "no_proxy": "*", "HOME": str(tmp_path)}
    done = subprocess.run(
        ["bash", "page.sh"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=END_SECONDS,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    wrong = []
    for number, example in enumerate(rest, start=1):
        if example.kind is not None and example.answer is not None:
            got = (tmp_path / f"{number}.answer").read_bytes().decode().replace("\r\n", "\n")
            wrong += [(example.commands, each) for each in compare(example.kind, example.answer, got)]
    assert wrong == []


def test_every_operation_is_on_the_page_with_an_answer() -> None:
    shown = {
        (method or ("POST" if " -d " in line else "GET"), path.replace("$JOB", "{job_id}"))
        for example in EXAMPLES
        if example.answer is not None
        for line in example.commands.splitlines()
        for method, path in re.findall(r'curl .*?(?:-X (\w+) )?"\$API(/[^"?]*)', line)
    }
    described = {(method.upper(), path) for path, operations in DESCRIPTION["paths"].items() for method in operations}
    # The three pages of the service itself are in a loop of the shell.
    assert described - shown <= {("GET", path) for path in ("/openapi.json", "/docs", "/docs/errors", "/")}


@pytest.mark.parametrize(
    ("kind", "shown", "got"),
    [
        ("json", '{"a": [{"b": 1}]}', '{"a": [{"b": "1"}]}'),
        ("json", '{"a": [{"b": 1}]}', '{"a": []}'),
        ("json", '{"a": 1}', '{"a": 1, "c": 2}'),
        ("csv", "a,b\n1,2\n", "a,c\n1,2\n"),
        ("csv", "a,b\n1,2\n", "a,b\n"),
        ("text", "4 rows", "5 rows"),
        ("http", "HTTP/1.1 404 Not Found", "HTTP/1.1 400 Bad Request\n\n"),
        ("http", "HTTP/1.1 201 Created\nLocation: /api/jobs/12", "HTTP/1.1 201 Created\nlocation: /jobs/12\n\n"),
        ("http", 'HTTP/1.1 200 OK\n\n{"a": 1}', 'HTTP/1.1 200 OK\n\n{"b": 1}'),
    ],
)
def test_an_answer_that_differs_is_found(kind: str, shown: str, got: str) -> None:
    assert len(compare(kind, shown, got)) == 1


def test_ids_times_and_the_case_of_header_names_do_not_matter() -> None:
    shown = 'HTTP/1.1 201 Created\nLocation: /api/jobs/12\n\n{"job_id": 12, "days": []}'
    got = 'HTTP/2 201\nlocation: /api/jobs/345\nserver: x\n\n{"job_id":345,"days":[{"date":"2026-11-23"}]}'
    assert compare("http", shown, got) == []
