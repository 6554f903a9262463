"""Writes docs/openapi.json: docs/openapi.paths.yaml with the models' schemas, lists as CSV, and the project's version.

``python -m tools.openapi`` writes it, ``--check`` compares instead.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from local.checkout import ROOT
from retail_pulse import VERSION
from retail_pulse.api import schemas
from retail_pulse.api.answers import RESULT_COLUMNS
from retail_pulse.api.csv import csv_text
from retail_pulse.api.list_answers import IMAGE_COLUMNS, JOB_COLUMNS, VISIT_COLUMNS, visit_rows
from retail_pulse.api.submit_body import SubmitBody
from tools.generated import write_or_check

DOCS = ROOT / "docs"
FILE = DOCS / "openapi.json"
# The rows and the columns of each list as CSV.
_LISTS: Mapping[str, tuple[Callable[[Any], Any], Sequence[str]]] = {
    "/api/jobs": (lambda body: body["jobs"], JOB_COLUMNS),
    "/api/jobs/{job_id}/results": (lambda body: body["results"], RESULT_COLUMNS),
    "/api/images": (lambda body: body["images"], IMAGE_COLUMNS),
    "/api/visits": (visit_rows, VISIT_COLUMNS),
}


class _Schemas(GenerateJsonSchema):
    """Schemas without a title per field, which repeats the name and which generators put into comments."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False


def describe() -> dict[str, Any]:
    """Return the API's description, an OpenAPI 3.1 document."""
    description: dict[str, Any] = yaml.safe_load((DOCS / "openapi.paths.yaml").read_text(encoding="utf-8"))
    answers = [
        model
        for name, model in vars(schemas).items()
        if isinstance(model, type)
        and issubclass(model, BaseModel)
        and model.__module__ == schemas.__name__
        and not name.startswith("_")
    ]
    _, models = models_json_schema(
        [(SubmitBody, "validation"), *((model, "serialization") for model in answers)],
        ref_template="#/components/schemas/{model}",
        schema_generator=_Schemas,
    )
    for path, (rows, columns) in _LISTS.items():
        content = description["paths"][path]["get"]["responses"]["200"]["content"]
        content["text/csv"] = {
            "schema": {"type": "string"},
            "example": csv_text(columns, rows(content["application/json"]["example"])),
        }
    description["info"]["version"] = VERSION
    description["components"]["schemas"] = dict(sorted(models["$defs"].items()))
    return description


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the file; return the exit code."""
    return write_or_check(FILE, describe(), "openapi", arguments)


if __name__ == "__main__":
    sys.exit(main())
