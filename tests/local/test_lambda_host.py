"""What AWS does around a handler: variables, events and context."""

import base64
from typing import Any

import pytest

from local.emulator.template import TemplateError
from local.lambda_host.context import Context
from local.lambda_host.environment import FUNCTIONS, environment
from local.lambda_host.events import api_event, event
from local.lambda_host.poller import InvocationError, failed_ids
from retail_pulse.runtime import settings


@pytest.mark.parametrize("function", [name for name in FUNCTIONS if name != "console"])
def test_a_function_reads_all_its_settings_from_the_template(function: str) -> None:
    model = getattr(settings, f"{function.title()}Settings")

    read = model.from_environment(environment(function, JobsTable="table"))

    assert read.table_name == "table"


def test_a_parameter_and_a_resource_reach_the_function_and_images_of_this_machine_are_allowed() -> None:
    variables = environment("process", {"ImageTries": "7"}, ChunkQueue="http://127.0.0.1/queue")

    read = settings.ProcessSettings.from_environment(variables)

    assert (read.image_tries, read.queue_url) == (7, "http://127.0.0.1/queue")
    assert [str(network) for network in read.allowed_networks] == ["127.0.0.0/8"]


def test_a_parameter_that_the_template_lacks_is_an_error() -> None:
    with pytest.raises(TemplateError, match="no parameter Nonsense"):
        environment("process", {"Nonsense": "1"})


def test_a_request_becomes_the_event_that_api_gateway_makes_of_it() -> None:
    asked = api_event("GET", "/api/jobs/1", query={"limit": "a b"}, headers={"x-api-key": "k"})
    assert (asked["rawPath"], asked["rawQueryString"]) == ("/api/jobs/1", "limit=a+b")
    assert asked["queryStringParameters"] == {"limit": "a b"}
    assert asked["requestContext"]["http"]["method"] == "GET"
    assert asked["headers"]["x-api-key"] == "k"

    posted = api_event("POST", "/api/submit", body=b"{}")
    assert (base64.b64decode(posted["body"]), posted["isBase64Encoded"]) == (b"{}", True)


@pytest.mark.parametrize("name", ["submit", "status"])
def test_what_a_request_does_not_have_is_absent_from_its_event(name: str) -> None:
    sent = api_event("POST" if name == "submit" else "GET", "/api/x")
    assert event(name).keys() - sent.keys() == {"submit": {"body"}, "status": {"queryStringParameters"}}[name]


def test_the_time_of_an_invocation_never_falls_below_zero() -> None:
    assert 0 < Context(seconds=60).get_remaining_time_in_millis() <= 60_000
    assert Context(seconds=-1).get_remaining_time_in_millis() == 0


@pytest.mark.parametrize("response", [None, {}, {"batchItemFailures": None}, {"batchItemFailures": []}, {"other": 1}])
def test_a_response_without_failures_is_a_success_of_all_messages(response: Any) -> None:
    assert failed_ids(response, {"a", "b"}) == set()


def test_reported_messages_have_failed() -> None:
    assert failed_ids({"batchItemFailures": [{"itemIdentifier": "a"}]}, {"a", "b"}) == {"a"}


@pytest.mark.parametrize(
    "response",
    [
        "text",
        ["a"],
        {"errorMessage": "Boom", "errorType": "Boom"},
        {"batchItemFailures": "a"},
        {"batchItemFailures": ["a"]},
        {"batchItemFailures": [{"messageId": "a"}]},
        *({"batchItemFailures": [{"itemIdentifier": wrong}]} for wrong in ("", None, "c", ["a"])),
        {"batchItemFailures": [{"itemIdentifier": "a"}, {"itemIdentifier": "c"}]},
    ],
)
def test_a_malformed_report_is_a_failure_of_all_messages(response: Any) -> None:
    with pytest.raises(InvocationError):
        failed_ids(response, {"a", "b"})
