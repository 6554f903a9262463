"""The API as docs/openapi.json describes it."""

import json

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
