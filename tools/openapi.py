"""Writes docs/openapi.json: the routes, with the models that validate as their schemas.

``python -m tools.openapi`` writes it, ``--check`` says whether it is up to date.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from retail_pulse.api import schemas, submit_body

FILE = Path(__file__).parent.parent / "docs" / "openapi.json"

_BODIES: tuple[type[BaseModel], ...] = (submit_body.SubmitBody,)
_ANSWERS: tuple[type[BaseModel], ...] = (
    schemas.Submitted,
    schemas.Error,
    schemas.Empty,
    schemas.Status,
    schemas.JobDetails,
    schemas.Reopened,
    schemas.ResultList,
    schemas.Health,
    schemas.Problem,
    schemas.Message,
)

_INTRODUCTION = """\
Takes jobs of store-visit photos, measures the perimeter `2 * (height + width)` of every image, and
keeps one result an image.

Every route but `/api/health`, `/openapi.json` and `/docs` wants the header `x-api-key`. API Gateway answers 401 without
it and 403 when it is unknown, expired or revoked, 404 when there is no such route or method, 413 when a body is too
large for it, 429 when there are too many requests, and 500 and 503 when it gets no answer: in its own words,
`{"message": "…"}`. A key has scopes: `submit` for every POST, `read` for every GET, `admin` for both; without the one
that a route wants, the answer is 403. A client sees its own jobs alone.

A body is JSON in UTF-8, not compressed, whatever its `Content-Type` says."""


def describe() -> dict[str, Any]:
    """Make the description.

    Returns
    -------
    dict
        An OpenAPI 3.1 document.
    """
    modes = [(model, "validation") for model in _BODIES] + [(model, "serialization") for model in _ANSWERS]
    _, schemas = models_json_schema(modes, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    return {
        "openapi": "3.1.0",
        "info": {"title": "Retail Pulse", "version": "0.1.0", "description": _INTRODUCTION},
        "security": [{"ApiKey": []}],
        "paths": {
            "/api/submit": {"post": _submit()},
            "/api/status": {"get": _status()},
            "/api/jobs/{job_id}": {"get": _details()},
            "/api/jobs/{job_id}/results": {"get": _results()},
            "/api/jobs/{job_id}/retry": {"post": _retry()},
            "/api/health": {"get": _health()},
        },
        "components": {
            "securitySchemes": {"ApiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"}},
            "schemas": dict(sorted(schemas["$defs"].items())),
        },
    }


def _submit() -> dict[str, Any]:
    example = {
        "count": 2,
        "visits": [
            {
                "store_id": "S00339218",
                "image_url": [
                    "https://www.gstatic.com/webp/gallery/2.jpg",
                    "https://www.gstatic.com/webp/gallery/3.jpg",
                ],
                "visit_time": "time of store visit",
            },
            {
                "store_id": "S01408764",
                "image_url": ["https://www.gstatic.com/webp/gallery/3.jpg"],
                "visit_time": "time of store visit",
            },
        ],
    }
    return {
        "operationId": "submit",
        "summary": "Submit a job",
        "description": "A URL that is none or an unknown store is no error here: the job is accepted, and fails.",
        "parameters": [
            {
                "name": "Idempotency-Key",
                "in": "header",
                "description": "A name of the client's for this submission. Sent again with the same body within "
                "24 hours, it gives the same `job_id` and makes no second job, however the first attempt ended.",
                "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
            }
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _ref(submit_body.SubmitBody), "example": example}},
        },
        "responses": {
            "201": _answer("The job was accepted.", schemas.Submitted),
            "400": _answer("The body or a header breaks a rule; the text names the place and the rule.", schemas.Error),
            "401": _refused("There is no `x-api-key`."),
            "403": _either("The key is unknown, expired or revoked, or lacks the scope `submit`.", schemas.Error),
            "413": _either("The body is too large for this stage, or for API Gateway.", schemas.Error),
            "415": _answer("The body is compressed.", schemas.Error),
            "422": _answer("The Idempotency-Key was used for another body.", schemas.Error),
            "429": _refused("There are too many requests. Send it again later."),
            "500": _either("It is our fault.", schemas.Error),
            "503": _either("The job could not be stored; there is none. Send it again.", schemas.Error),
        },
    }


def _status() -> dict[str, Any]:
    return {
        "operationId": "status",
        "summary": "Ask how a job stands",
        "parameters": [
            {"name": "jobid", "in": "query", "required": True, "schema": {"type": "string", "examples": ["123"]}}
        ],
        "responses": {
            "200": _answer("How the job stands; it is failed only when the whole job has ended.", schemas.Status),
            "400": _answer("There is no such job, or it is another client's.", schemas.Empty),
            **_problems("read"),
        },
    }


def _details() -> dict[str, Any]:
    return {
        "operationId": "job",
        "summary": "Read a job with its times and counts",
        "parameters": [_JOB_ID],
        "responses": {"200": _answer("The job.", schemas.JobDetails), **_problems("read"), "404": _no_job()},
    }


def _results() -> dict[str, Any]:
    return {
        "operationId": "results",
        "summary": "Read a job's results, while it runs as well as after",
        "description": "One row an image, in the order of the body.",
        "parameters": [
            _JOB_ID,
            {
                "name": "limit",
                "in": "query",
                "description": "Most rows of a page; there are fewer where long URLs would make the answer too large.",
                "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100},
            },
            {
                "name": "cursor",
                "in": "query",
                "description": "The `next_cursor` of the page before.",
                "schema": {"type": "string", "pattern": r"^[0-9]{1,6}\.[0-9]{1,6}$"},
            },
        ],
        "responses": {
            "200": _answer("A page of results.", schemas.ResultList),
            "400": _problem("A parameter breaks a rule; the text names it."),
            **_problems("read"),
            "404": _no_job(),
        },
    }


def _retry() -> dict[str, Any]:
    return {
        "operationId": "retry",
        "summary": "Try a job's failed images again",
        "description": "Opens an ended job for a new run. What was measured stays as it is.",
        "parameters": [_JOB_ID],
        "responses": {
            "202": _answer("The job is ongoing again.", schemas.Reopened),
            **_problems("submit"),
            "404": _no_job(),
            "409": _problem("A run of the job has not ended, or it has no failed image."),
            "413": _refused("The body is too large; none is wanted."),
        },
    }


def _health() -> dict[str, Any]:
    return {
        "operationId": "health",
        "summary": "Ask whether the service answers",
        "security": [],
        "responses": {
            "200": _answer("It does.", schemas.Health),
            "429": _refused("There are too many requests. Ask again later."),
            "503": _refused("It does not."),
        },
    }


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _answer(description: str, model: type[BaseModel], content_type: str = "application/json") -> dict[str, Any]:
    return {"description": description, "content": {content_type: {"schema": _ref(model)}}}


def _problem(description: str) -> dict[str, Any]:
    return _answer(description, schemas.Problem, "application/problem+json")


def _refused(description: str) -> dict[str, Any]:
    """Describe an answer of API Gateway's own."""
    return _answer(description, schemas.Message)


def _either(description: str, model: type[BaseModel]) -> dict[str, Any]:
    """Describe an answer that a function gives in its own words, or API Gateway in its."""
    if model is schemas.Problem:
        return {**_problem(description), "content": _problem(description)["content"] | _refused("")["content"]}
    schema = {"anyOf": [_ref(model), _ref(schemas.Message)]}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _no_job() -> dict[str, Any]:
    return _problem("There is no such job, or it is another client's.")


def _problems(scope: str) -> dict[str, Any]:
    """Describe what every route beyond the contract, and status, may answer."""
    return {
        "401": _refused("There is no `x-api-key`."),
        "403": _either(f"The key is unknown, expired or revoked, or lacks the scope `{scope}`.", schemas.Problem),
        "429": _refused("There are too many requests. Ask again later."),
        "500": _either("It is our fault.", schemas.Problem),
        "503": _either("The storage did not answer. Ask again.", schemas.Problem),
    }


_JOB_ID = {"name": "job_id", "in": "path", "required": True, "schema": {"type": "string", "examples": ["123"]}}


def main() -> int:
    """Write or check the file; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    text = json.dumps(describe(), indent=2, ensure_ascii=False) + "\n"
    if not parser.parse_args().check:
        FILE.write_text(text, encoding="utf-8")
    elif not FILE.exists() or FILE.read_text(encoding="utf-8") != text:
        print(f"{FILE.name} is not what the models say: run `make openapi`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
