"""Writes docs/openapi.json from docs/openapi.paths.yaml, with the schemas of the models and the project's version.

``python -m tools.openapi`` writes it, ``--check`` compares instead.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from local.checkout import ROOT
from retail_pulse import VERSION
from retail_pulse.api import schemas
from retail_pulse.api.submit_body import SubmitBody

DOCS = ROOT / "docs"
FILE = DOCS / "openapi.json"


def describe() -> dict[str, Any]:
    """Return the API's description, an OpenAPI 3.1 document."""
    description: dict[str, Any] = yaml.safe_load((DOCS / "openapi.paths.yaml").read_text(encoding="utf-8"))
    responses = [
        model
        for name, model in vars(schemas).items()
        if isinstance(model, type) and issubclass(model, BaseModel) and not name.startswith("_")
    ]
    _, models = models_json_schema(
        [(SubmitBody, "validation"), *((model, "serialization") for model in responses if model is not BaseModel)],
        ref_template="#/components/schemas/{model}",
    )
    description["info"]["version"] = VERSION
    description["components"]["schemas"] = dict(sorted(models["$defs"].items()))
    return description


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the file; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    text = json.dumps(describe(), indent=2, ensure_ascii=False) + "\n"
    if not parser.parse_args(arguments).check:
        FILE.write_text(text, encoding="utf-8")
    elif not FILE.exists() or FILE.read_text(encoding="utf-8") != text:
        print(f"{FILE.name} is out of date: run `make openapi`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
