"""The deployed handlers, loaded from functions/, on moto and with the events that AWS sends."""

import gc
import logging
from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws

from local.lambda_host.environment import FUNCTIONS, environment
from local.lambda_host.table import TABLE, create_queue, create_table
from tests.functions.service import Service

# No delays, no second attempts, and a pool that a test starts quickly.
PARAMETERS = {"DelayMinSeconds": "0", "DelayMaxSeconds": "0.01", "ImageTries": "1", "ProcessThreads": "4"}


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """Create a table and a queue for the functions, which are loaded as cold starts load them."""
    thresholds = gc.get_threshold()
    with mock_aws():
        create_table(boto3.client("dynamodb"))
        url = create_queue(boto3.client("sqs"))
        for function in FUNCTIONS:
            for name, value in environment(function, PARAMETERS, JobsTable=TABLE, ChunkQueue=url).items():
                monkeypatch.setenv(name, value)
        yield Service(url)
    gc.set_threshold(*thresholds)
    gc.unfreeze()


@pytest.fixture
def api_log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Capture the log lines of the router: in a function, they do not reach the root logger."""
    logger = logging.getLogger("retail_pulse.api.router")
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)
