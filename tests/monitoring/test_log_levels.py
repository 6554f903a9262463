"""LogLevel under Lambda's JSON format: which lines are printed, which ones Lambda keeps, and that metrics are kept."""

import json
import logging
import re
from typing import Any

import pytest

from local.lambda_host.environment import environment
from local.lambda_host.load import run_cold
from tests.infra import sam

LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR"]
# Lambda's names of levels, and Python's.
# https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
LAMBDAS = {"DEBUG": logging.DEBUG, "INFO": logging.INFO, "WARN": logging.WARNING}
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00")

# Like Lambda's runtime, it gives the root logger a handler and Lambda's level before it loads the function:
# `_setup_logging` in https://github.com/aws/aws-lambda-python-runtime-interface-client
COLD_START = """
import logging, os, sys
logging.getLogger().addHandler(logging.StreamHandler(sys.stdout))
logging.getLogger().setLevel(os.environ["AWS_LAMBDA_LOG_LEVEL"])
import app
for name in ("DEBUG", "INFO", "WARNING", "ERROR"):
    level = logging.getLevelName(name)
    app.logger.log(level, "of the function")
    logging.getLogger("retail_pulse.use_cases.batch").log(level, "of the package")
logging.getLogger("urllib3.connectionpool").debug("GET /a.png?sig=secret")
logging.getLogger("botocore.endpoint").debug("Authorization: secret")
app.metrics.count(JobsEnded=1)
app.metrics.send()
"""


def lambda_level(level: str, kind: str) -> str:
    """Return Lambda's level of submit for a value of LogLevel."""
    deployed = sam.Template(parameters={"LogLevel": level})
    config = deployed.body["Globals"]["Function"]["LoggingConfig"]
    return str(deployed.resolve(config[kind]))


def lines(level: str) -> list[dict[str, Any]]:
    """Return what a function prints with a LogLevel, when every warning of Python is an error."""
    variables = environment("submit", {"LogLevel": level}) | {
        "AWS_LAMBDA_LOG_FORMAT": "JSON",
        "AWS_LAMBDA_LOG_LEVEL": lambda_level(level, "ApplicationLogLevel"),
    }
    return [
        json.loads(line) for line in run_cold(COLD_START, "submit", "-W", "error", variables=variables).splitlines()
    ]


@pytest.mark.parametrize("level", LEVELS)
def test_the_parameter_decides_what_is_printed_and_lambda_keeps_all_of_it_and_the_metrics(level: str) -> None:
    printed = lines(level)
    # A line without a level counts as INFO.
    minimum = LAMBDAS[lambda_level(level, "ApplicationLogLevel")]
    kept = [line for line in printed if logging.getLevelName(line.get("level", "INFO")) >= minimum]
    assert kept == printed
    found = [(line["message"], line["level"]) for line in kept if "level" in line]
    wanted = LEVELS[LEVELS.index(level) :]
    assert found == [(text, each) for each in wanted for text in ("of the function", "of the package")]
    assert [line["JobsEnded"] for line in kept if "_aws" in line] == [[1.0]]


@pytest.mark.parametrize("level", LEVELS)
def test_lines_have_a_timestamp_that_lambda_reads(level: str) -> None:
    # Otherwise Lambda takes the line for INFO.
    assert [line for line in lines(level) if "level" in line and not RFC_3339.fullmatch(line["timestamp"])] == []


def test_every_function_has_the_level_of_the_parameter_within_what_keeps_metrics() -> None:
    template = sam.read()
    config = template["Globals"]["Function"]["LoggingConfig"]
    # SAM merges it with what a function has.
    assert all(
        each["LoggingConfig"].keys() == {"LogGroup"}
        for each in sam.of_type(template["Resources"], sam.FUNCTION).values()
    )
    assert config["LogFormat"] == "JSON"
    found = {}
    for level in LEVELS:
        deployed = sam.Template(parameters={"LogLevel": level})
        found[level] = deployed.resolve(config["ApplicationLogLevel"]), deployed.resolve(config["SystemLogLevel"])
    assert found == {
        "DEBUG": ("DEBUG", "DEBUG"),
        "INFO": ("INFO", "INFO"),
        "WARNING": ("INFO", "WARN"),
        "ERROR": ("INFO", "WARN"),
    }
