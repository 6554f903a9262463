"""The examples of the API's description: one per status, valid, complete, and what the service sends."""

import copy
import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator, oas31_format_checker

from retail_pulse.api.request_errors import RequestCode
from retail_pulse.domain.jobs import job_id_at
from retail_pulse.domain.times import utc_of
from tests.support.description import DESCRIPTION, EXAMPLES, OPERATIONS, Example, Operation, bodies, values

OBJECTS = [example for example in EXAMPLES if example.content_type != "text/csv"]


def closed(node: Any) -> Any:
    """Return a schema in which an object has no further fields."""
    if isinstance(node, list):
        return [closed(each) for each in node]
    if not isinstance(node, dict):
        return node
    inner = {name: closed(value) for name, value in node.items()}
    return {"additionalProperties": False, **inner} if "properties" in node else inner


COMPONENTS = closed(DESCRIPTION["components"])


def problems(schema: Any, value: Any) -> list[str]:
    """Return what is wrong with a value: also a field that its schema does not have."""
    validator = OAS31Validator({**schema, "components": COMPONENTS}, format_checker=oas31_format_checker)
    return [error.message for error in validator.iter_errors(value)]


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_an_operation_has_a_name_a_known_tag_texts_and_an_example_for_every_status(operation: Operation) -> None:
    about = operation.about
    assert re.fullmatch(r"(submit|get|list|retry)[A-Z]\w+", about["operationId"])
    assert len(about["tags"]) == 1
    assert about["tags"][0] in {tag["name"] for tag in DESCRIPTION["tags"]}
    assert about["summary"]
    assert about["description"]
    assert [(status, kind) for status, kind, media in bodies(operation) if not values(media)] == []


def test_names_of_operations_are_unique() -> None:
    names = [operation.about["operationId"] for operation in OPERATIONS]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_an_example_is_valid_and_has_no_field_that_is_not_described(example: Example) -> None:
    assert problems(example.schema, example.value) == []


def test_what_is_wrong_with_an_example_is_found() -> None:
    example = next(each for each in OBJECTS if each.operation.path == "/api/jobs" and each.status == 200)
    for name, value in (("ended_at", "yesterday"), ("status", "done"), ("images", None), ("ports", 3)):
        wrong = copy.deepcopy(example.value)
        wrong["jobs"][0][name] = value
        assert problems(example.schema, wrong), name


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_the_examples_of_parameters_are_valid(operation: Operation) -> None:
    for parameter in operation.about.get("parameters", ()):
        for value in values(parameter):
            assert problems(parameter["schema"], value) == []


@pytest.mark.parametrize("example", [each for each in OBJECTS if each.status >= 400], ids=str)
def test_an_error_has_the_code_and_the_texts_of_its_status(example: Example) -> None:
    body, status = example.value, HTTPStatus(example.status)
    assert (example.content_type == "application/problem+json") is ("type" in body)
    if "message" in body:
        # API Gateway's own, without a code.
        assert body == {"message": status.phrase}
    elif "code" in body:
        code = RequestCode(body["code"])
        assert code.status == status
        if "type" in body:
            assert (body["type"], body["title"], body["status"]) == (code.link, code.summary, status)


def test_every_code_has_an_example() -> None:
    shown = {example.value["code"] for example in OBJECTS if "code" in example.value}
    # No operation sends it.
    assert shown == set(RequestCode) - {RequestCode.ROUTE_NOT_FOUND}


def test_jobs_and_images_of_examples_are_possible() -> None:
    def objects(node: Any) -> Iterator[Any]:
        if isinstance(node, dict):
            yield node
        for each in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            yield from objects(each)

    found = [each for example in OBJECTS for each in objects(example.value)]
    for image in (each for each in found if each.get("outcome") == "measured"):
        assert image["perimeter"] == 2 * (image["width"] + image["height"])
    for counts in (each for each in found if "pending" in each):
        assert counts["total"] == counts["measured"] + counts["failed"] + counts["pending"]
    for job in (each for each in found if "created_at" in each):
        assert (job["status"] == "ongoing") is (job["ended_at"] is None)
        created, job_id = utc_of(job["created_at"]), int(job["job_id"])
        assert created is not None
        assert job_id_at(created, job_id) == job_id
