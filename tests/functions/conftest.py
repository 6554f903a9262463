"""The deployed handlers, loaded from functions/, on moto and with the events that AWS sends."""

import gc
from collections.abc import Callable, Iterator
from types import ModuleType

import boto3
import pytest
from moto import mock_aws

from local.lambda_host.context import Context
from local.lambda_host.environment import FUNCTIONS, environment
from local.lambda_host.load import load as load_function
from local.lambda_host.table import TABLE, create_queue, create_table

# No delays, no second attempts, and a pool that a test starts quickly.
PARAMETERS = {"DelayMinSeconds": "0", "DelayMaxSeconds": "0.01", "ImageTries": "1", "ProcessThreads": "4"}


@pytest.fixture
def context() -> Context:
    return Context()


@pytest.fixture(name="environment")
def table_and_queue(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Give the functions a table and a queue; yields the queue's URL."""
    with mock_aws():
        create_table(boto3.client("dynamodb"))
        url = create_queue(boto3.client("sqs"))
        for function in FUNCTIONS:
            for name, value in environment(function, PARAMETERS, JobsTable=TABLE, ChunkQueue=url).items():
                monkeypatch.setenv(name, value)
        yield url


@pytest.fixture
def load(environment: str) -> Iterator[Callable[[str], ModuleType]]:
    """Load a function as a cold start does."""
    thresholds = gc.get_threshold()
    yield load_function
    gc.set_threshold(*thresholds)
    gc.unfreeze()
