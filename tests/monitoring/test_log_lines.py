"""The log lines and metrics of the functions: what each has, and what none may have."""

import json
import re

import pytest

from retail_pulse.domain.failures import FailureCode
from tests.infra import sam
from tests.monitoring.conftest import Line
from tests.monitoring.observed import SECRET

# Lines of a request to the API, of which all but those of authorize come after the client is known.
OF_REQUESTS = {"authorized", "refused", "accepted", "replayed", "reopened", "answered", "storage unavailable"}
OF_JOBS = {"accepted", "replayed", "reopened"}


def named(lines: list[Line], message: str, service: str = "") -> list[Line]:
    found = [line for line in lines if line["message"] == message and service in line["service"]]
    assert found, message
    return found


def test_lines_of_requests_have_the_request_and_the_client(log_lines: list[Line]) -> None:
    for message in (*OF_REQUESTS, "unexpected error"):
        for line in named(log_lines, message):
            assert line["request"] == "JKJaXmPLvHcESHA="
            assert line.get("client") == "me" or line["reason"] == "unknown", message


def test_lines_about_a_job_name_it_and_later_requests_do_not(log_lines: list[Line]) -> None:
    for message in OF_JOBS:
        assert all(isinstance(line["job_id"], int) for line in named(log_lines, message)), message
    answers = named(log_lines, "answered")
    # A status; a refusal before the id is read, and a route without a job; 503 and 500.
    assert [isinstance(line.get("job_id"), int) for line in answers] == [True, False, False, True, True]
    assert isinstance(named(log_lines, "unexpected error")[0]["job_id"], int)
    assert "job_id" not in named(log_lines, "refused", "submit")[0]


def test_the_line_of_a_batch_names_its_jobs_clients_and_worst_hosts(log_lines: list[Line]) -> None:
    first, second = named(log_lines, "processed")
    assert (first["clients"], len(first["jobs"]), first["closed"]) == (["me"], 1, first["jobs"])
    assert first["failures"] == {"http_status": 1, "connect_failed": 1}
    hosts = sorted((host["requests"], host["failed"], host["codes"]) for host in first["hosts"])
    assert hosts == [(1, 1, "connect_failed"), (2, 1, "http_status")]
    assert {host["host"].partition(":")[0] for host in first["hosts"]} == {"127.0.0.1"}
    assert (second["redelivered"], second["closed"], second["hosts"]) == (2, [1], [])


def test_no_line_has_a_url_a_key_or_a_header(printed: str) -> None:
    assert SECRET not in printed
    assert not re.search(r"https?://|rpk_|x-api-key|authorization|user-agent|\.png", printed, re.IGNORECASE)


def test_every_line_is_classified_and_says_which_invocation_wrote_it(log_lines: list[Line]) -> None:
    for line in log_lines:
        assert line["level"] in {"DEBUG", "INFO", "WARNING", "ERROR"}
        assert line["function_request_id"]
        assert "\n" not in json.dumps(line)


def test_metrics_are_by_service_and_stage(metric_lines: list[Line]) -> None:
    for line in metric_lines:
        (directive,) = line["_aws"]["CloudWatchMetrics"]
        assert directive["Namespace"] == "RetailPulse"
        assert [set(dimensions) for dimensions in directive["Dimensions"]] == [{"service", "stage"}]
        assert line["stage"] == sam.Template().parameters["Stage"]


def test_the_stage_is_that_of_the_stack() -> None:
    for function in sam.of_type(sam.read()["Resources"], sam.FUNCTION):
        assert sam.Template(parameters={"Stage": "qa"}).environment(function)["STAGE"] == "qa"


def value(lines: list[Line], service: str, name: str) -> list[float]:
    return [number for line in lines if line["service"] == service for number in line.get(name, [])]


def test_intake_counts_each_job_once_and_not_its_replay(metric_lines: list[Line]) -> None:
    assert value(metric_lines, "submit", "JobsAccepted") == [1, 1]
    assert value(metric_lines, "submit", "ImagesAccepted") == [3, 1]


@pytest.mark.parametrize("service", ["authorize", "submit", "status"])
def test_refused_requests_are_counted(metric_lines: list[Line], service: str) -> None:
    assert value(metric_lines, service, "RequestsRefused") == [1]
    assert value(metric_lines, service, "StorageUnavailable") == ([] if service == "authorize" else [1])


@pytest.mark.parametrize("code", FailureCode)
def test_failures_are_counted_by_code(metric_lines: list[Line], code: FailureCode) -> None:
    assert value(metric_lines, "process", f"ImagesFailed.{code}")[-1] == 1


def test_a_job_that_ends_has_its_time_from_acceptance_whoever_ends_it(metric_lines: list[Line]) -> None:
    assert value(metric_lines, "process", "JobSeconds")[-1] == 90
    assert value(metric_lines, "reprocess", "JobSeconds") == [90]


def test_descriptors_are_those_of_the_process(metric_lines: list[Line]) -> None:
    first, _ = value(metric_lines, "process", "OpenDescriptors")
    assert 3 <= first < 1024


def test_counts_of_zero_are_not_sent_since_each_metric_costs_money(metric_lines: list[Line]) -> None:
    counts = [
        number
        for line in metric_lines
        for name, numbers in line.items()
        if isinstance(numbers, list) and name not in {"JobSeconds", "OpenDescriptors"}
        for number in numbers
    ]
    assert min(counts) > 0
