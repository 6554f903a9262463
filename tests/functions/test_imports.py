"""What each handler imports at its cold start: a new package, or a heavy part of one, must be listed here."""

import json

import pytest

from local.lambda_host.environment import FUNCTIONS
from local.lambda_host.load import run_cold

# Expensive modules of packages and of Python's library, which few handlers need.
HEAVY = (
    "asyncio", "aws_lambda_powertools.event_handler", "aws_lambda_powertools.event_handler.openapi.models",
    "aws_lambda_powertools.event_handler.openapi.swagger_ui", "aws_lambda_powertools.utilities.batch",
    "aws_lambda_powertools.utilities.data_classes", "aws_lambda_powertools.utilities.parameters",
    "aws_lambda_powertools.utilities.parser", "multiprocessing",
    "retail_pulse.api.schemas", "retail_pulse.api.submit_body", "retail_pulse.domain.chunks",
    "retail_pulse.measuring.fetch", "unittest", "xml.etree",
)  # fmt: skip
# Not third-party packages; or modules that a wheel registers in addition to its package.
NO_PACKAGES = {"app", "retail_pulse", "cython_runtime"}
_SCRIPT = f"""
import json, sys
before = set(sys.modules)
import app
new = set(sys.modules) - before
packages = {{name.partition(".")[0] for name in new}} - sys.stdlib_module_names - {NO_PACKAGES!r}
packages = {{name for name in packages if not name.startswith("_")}}
print(json.dumps([sorted(packages), sorted(new & set({HEAVY!r}))]))
"""

# What boto3 and Powertools import in any case.
AWS = {
    "aws_lambda_powertools", "boto3", "botocore", "certifi", "dateutil", "jmespath", "s3transfer", "six",
    "typing_extensions", "urllib3",
}  # fmt: skip
# boto3 imports S3 transfers, which import multiprocessing.
AWS_HEAVY = {"multiprocessing", "xml.etree"}
EVENTS = {"aws_lambda_powertools.utilities.data_classes"}
HTTP = {"asyncio", "aws_lambda_powertools.event_handler"} | EVENTS
CHUNKS = {"retail_pulse.domain.chunks"}
PYDANTIC = {"annotated_types", "pydantic", "pydantic_core", "typing_inspection"}
ALLOWED = {
    "authorize": (AWS, AWS_HEAVY | EVENTS),
    "submit": (AWS | PYDANTIC, AWS_HEAVY | HTTP | CHUNKS | {"retail_pulse.api.submit_body"}),
    "process": (
        AWS | {"charset_normalizer", "idna", "requests"},
        AWS_HEAVY | CHUNKS | {"retail_pulse.measuring.fetch"},
    ),
    "status": (AWS, AWS_HEAVY | HTTP | CHUNKS),
    "reprocess": (AWS, AWS_HEAVY | CHUNKS),
    "console": (set(), set()),
}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_handler_imports_exactly_what_is_listed(function: str) -> None:
    packages, heavy = (set(found) for found in json.loads(run_cold(_SCRIPT, function)))
    assert (packages, heavy) == ALLOWED[function]
