"""The API as docs/openapi.json describes it."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from local.checkout import ROOT

DESCRIPTION = json.loads((ROOT / "docs" / "openapi.json").read_text(encoding="utf-8"))


def routes(*, with_key: bool) -> list[tuple[str, str]]:
    """Return method and path of each route that needs a key, or of each that does not."""
    return [
        (method.upper(), path)
        for path, operations in DESCRIPTION["paths"].items()
        for method, operation in operations.items()
        if bool(operation.get("security", DESCRIPTION["security"])) is with_key
    ]


class Operation(NamedTuple):
    """An operation of the description."""

    method: str
    path: str
    about: Any

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Example(NamedTuple):
    """An example of a body, with its status and content type; status 0 is the request."""

    operation: Operation
    status: int
    content_type: str
    schema: Any
    value: Any

    def __str__(self) -> str:
        return f"{self.operation} {self.status}"


OPERATIONS = [
    Operation(method.upper(), path, about)
    for path, methods in DESCRIPTION["paths"].items()
    for method, about in methods.items()
]


def bodies(operation: Operation) -> Iterator[tuple[int, str, Any]]:
    """Yield status, content type and description of every body; status 0 is the request."""
    for kind, media in operation.about.get("requestBody", {"content": {}})["content"].items():
        yield 0, kind, media
    for status, response in operation.about["responses"].items():
        for kind, media in response["content"].items():
            yield int(status), kind, media


def values(described: Any) -> list[Any]:
    """Return the examples of a body or a parameter."""
    named = [each["value"] for each in described.get("examples", {}).values()]
    return [*named, described["example"]] if "example" in described else named


EXAMPLES = [
    Example(operation, status, kind, media["schema"], value)
    for operation in OPERATIONS
    for status, kind, media in bodies(operation)
    for value in values(media)
]
