"""The deployed handlers, loaded from functions/, on moto and with the events that AWS sends."""

import copy
import gc
import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import boto3
import pytest
from moto import mock_aws

from local.checkout import ROOT
from local.lambda_host.table import create_table
from tests.adapters.conftest import TABLE


@dataclass
class Context:
    """What Lambda hands to a handler."""

    function_name: str = "test"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:123456789012:function:test"
    aws_request_id: str = "52fdfc07-2182-154f-163f-5f0f9a621d72"
    milliseconds: int = 120_000

    def get_remaining_time_in_millis(self) -> int:
        return self.milliseconds


@pytest.fixture
def context() -> Context:
    return Context()


def event(name: str) -> dict[str, Any]:
    """Read a recorded event."""
    recorded: dict[str, Any] = json.loads((ROOT / "tests" / "events" / f"{name}.json").read_text())
    return copy.deepcopy(recorded)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Give the functions a table and a queue; yields the queue's URL."""
    with mock_aws():
        create_table(boto3.client("dynamodb"), TABLE)
        url = boto3.client("sqs").create_queue(QueueName="chunks")["QueueUrl"]
        variables = {
            "TABLE_NAME": TABLE, "QUEUE_URL": url, "MAX_BODY_BYTES": "6291456",
            "MAX_JOB_VISITS": "100000", "MAX_JOB_IMAGES": "100000", "CHUNK_IMAGES": "50", "CHUNK_BYTES": "100000",
            "JOB_RETENTION_DAYS": "90", "STALL_SECONDS": "900", "DELAY_MIN_SECONDS": "0", "DELAY_MAX_SECONDS": "0.01",
            "THREADS": "4", "CONNECT_TIMEOUT_SECONDS": "1", "READ_TIMEOUT_SECONDS": "1",
            "IMAGE_DEADLINE_SECONDS": "2", "MAX_IMAGE_BYTES": "1000000", "MAX_IMAGE_SIDE": "10000",
            "MAX_REDIRECTS": "3", "ALLOWED_NETWORKS": "127.0.0.0/8",
            "ALLOWED_PORTS": "1-65535", "ALLOWED_HOSTS": "",
            "IMAGE_TRIES": "1", "IMAGE_RETRY_SECONDS": "0", "FIRST_WAIT_SECONDS": "1", "LONGEST_WAIT_SECONDS": "900",
            "INLINE_WAIT_SECONDS": "5", "AUTOMATIC_RUNS": "3",
        }  # fmt: skip
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        yield url


@pytest.fixture
def load(environment: str) -> Iterator[Callable[[str], ModuleType]]:
    """Load a function as a cold start does."""
    loaded = []

    def load_function(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"{name}_app", ROOT / "functions" / name / "app.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        loaded.append(spec.name)
        spec.loader.exec_module(module)
        return module

    thresholds = gc.get_threshold()
    yield load_function
    for name in loaded:
        sys.modules.pop(name, None)
    gc.set_threshold(*thresholds)
    gc.unfreeze()
