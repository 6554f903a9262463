"""What submit returns for an accepted job besides its id: its path, whether it is a replay, and its metadata."""

import json
from typing import Any

import pytest

from local.client import submission
from local.lambda_host.context import Context
from local.lambda_host.events import api_event
from retail_pulse.api import schemas
from tests.functions.service import STORE, Service

ORDER = submission((STORE, ["http://127.0.0.1:9/1.png"]))
KEY = {"idempotency-key": "order-1"}
METADATA = {"campaign": "autumn \u2028\x00", "empty": ""}


def accept(service: Service, body: dict[str, Any], headers: dict[str, str]) -> tuple[str, str | None]:
    """Submit a job; return its path, and the header that names a replay."""
    answer = service.load("submit").handler(
        api_event("POST", "/api/submit", body=json.dumps(body), headers=headers), Context()
    )
    path: str = answer["headers"]["Location"]
    assert (answer["statusCode"], answer["body"]) == (201, f'{{"job_id":{path.removeprefix("/api/jobs/")}}}')
    return path, answer["headers"].get("Idempotent-Replayed")


def test_an_accepted_job_names_its_path_and_only_a_replay_says_so(service: Service) -> None:
    first, second, another = (accept(service, ORDER, headers) for headers in (KEY, KEY, {}))
    assert (first[1], second[1], another[1]) == (None, "true", None)
    assert first[0] == second[0] != another[0]
    assert service.get(first[0])[0] == 200


@pytest.mark.parametrize("headers", [{}, KEY])
@pytest.mark.parametrize("metadata", [{}, METADATA])
def test_metadata_returns_with_the_job_until_it_has_ended(
    service: Service, headers: dict[str, str], metadata: dict[str, str]
) -> None:
    path, _ = accept(service, ORDER | {"metadata": metadata}, headers)
    assert schemas.JobDetails.model_validate(service.get(path)[1]).metadata == metadata
    service.deliver()
    details = schemas.JobDetails.model_validate(service.get(path)[1])
    assert (details.status, details.metadata) == ("failed", metadata)


def test_a_job_without_metadata_has_none(service: Service) -> None:
    assert service.get(f"/api/jobs/{service.submit('x')}")[1]["metadata"] == {}


def test_metadata_is_part_of_the_body_that_a_key_names(service: Service) -> None:
    assert service.post(body=ORDER | {"metadata": {"a": "1"}}, idempotency_key="order-1")[0] == 201
    assert service.post(body=ORDER | {"metadata": {"a": "2"}}, idempotency_key="order-1")[0] == 422


def test_metadata_that_breaks_a_rule_is_a_400_with_place_and_rule(service: Service) -> None:
    code, answer = service.post(body=ORDER | {"metadata": {"a": 1}})
    problem = {"place": 'metadata["a"]', "rule": "must be a string"}
    assert (code, answer) == (
        400,
        {"error": " ".join(problem.values()), "code": "invalid_request", "errors": [problem]},
    )
