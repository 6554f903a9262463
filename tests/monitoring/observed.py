"""Runs the functions for each kind of log line and metric; they write to stdout, as in Lambda.

A process of its own: in a test's process, the loggers of the functions would write to the output of an earlier test.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from types import ModuleType
from typing import Any
from unittest.mock import patch

import boto3
from aws_lambda_powertools.logging import utils
from moto import mock_aws

from local.images.pictures import Format, make_image
from local.images.server import ImageServer
from local.lambda_host.context import Context
from local.lambda_host.environment import environment
from local.lambda_host.events import Event, authorizer_event
from local.lambda_host.load import load
from local.lambda_host.table import TABLE, create_queue, create_table
from retail_pulse.domain.api_keys import new_key
from retail_pulse.domain.chunks import Scope
from retail_pulse.domain.errors import StorageUnavailableError
from retail_pulse.domain.failures import FailureCode
from retail_pulse.domain.jobs import Job, JobStatus
from retail_pulse.storage.api_keys_table import ApiKeysTable
from retail_pulse.storage.jobs_table import JobsTable
from retail_pulse.use_cases.batch import BatchReport
from retail_pulse.use_cases.reprocessing import ReprocessReport
from tests.functions.service import Service

# What no line may contain.
SECRET = "sig=f00ba4"
PARAMETERS = {"DelayMinSeconds": "0", "DelayMaxSeconds": "0.01", "ImageTries": "1", "ProcessThreads": "4"}
NOW = datetime(2026, 11, 29, tzinfo=UTC)
ENDED = Job(
    client="me", job_id=1, nonce="n", status=JobStatus.COMPLETED, open=False, run=1, scope=Scope.ALL, created_at=NOW,
    visits=1, images=1, chunks=1, expires_at=0, ended_at=NOW + timedelta(seconds=90),
)  # fmt: skip


class Functions(Service):
    """The functions, each with its own variables, and with the package's loggers set up as in its own process."""

    def __init__(self, queue_url: str) -> None:
        super().__init__(queue_url)
        self._load = cache(self._loaded)
        self.load = self._in_turn  # type: ignore[assignment]

    def _loaded(self, function: str) -> ModuleType:
        os.environ.update(environment(function, PARAMETERS, JobsTable=TABLE, ChunkQueue=self.queue_url))
        return load(function)

    def _in_turn(self, function: str) -> ModuleType:
        module = self._load(function)
        utils.copy_config_to_registered_loggers(module.logger, include={"retail_pulse"})
        return module


@contextmanager
def unavailable(method: str) -> Iterator[None]:
    """Refuse a request to the table."""
    with patch.object(JobsTable, method, side_effect=StorageUnavailableError("DynamoDB: ThrottlingException")):
        yield


def requests(functions: Functions) -> None:
    """Send requests that are accepted, refused, and not possible."""
    known = new_key()
    ApiKeysTable(boto3.client("dynamodb"), TABLE).issue(known, "me")
    for key in (known, new_key()):
        functions.load("authorize").handler(authorizer_event(key), Context())
    with ImageServer() as server:
        good = server.add("/a.png", make_image(Format.PNG, 64, 48))
        job_id = functions.submit(good, f"{good}-missing?{SECRET}", f"http://127.0.0.1:9/a.png?{SECRET}")
        functions.deliver()
    functions.get("/api/status", jobid=job_id)
    functions.post(f"/api/jobs/{job_id}/retry")
    for _ in range(2):
        functions.post(idempotency_key="once")
    functions.post(by={"scopes": "read"})
    functions.get("/api/jobs/1", by={"scopes": "submit"})
    functions.get("/api/health")
    with unavailable("put_chunks"):
        functions.post()
    with unavailable("job"):
        functions.get(f"/api/jobs/{job_id}")
    with patch.object(JobsTable, "job", side_effect=ZeroDivisionError):
        functions.get(f"/api/jobs/{job_id}")


def reports(functions: Functions) -> None:
    """Run a batch and a sweep that report everything that they can."""
    process, reprocess = functions.load("process"), functions.load("reprocess")
    batch = BatchReport(measured=1, retried=1, dropped=1, requeued=1, closed=[ENDED])
    batch.failures.update(FailureCode)
    sent = again(functions.messages())
    with patch.object(process.processing, "process", return_value=batch):
        functions.load("process").handler(sent, Context())
    sweep = ReprocessReport(swept=1, closed=[ENDED], sent=1, reopened=1, refused=1, unfinished=True)
    with patch.object(reprocess.reprocessing, "sweep", return_value=sweep):
        functions.load("reprocess").handler({}, Context())


def again(sent: Event) -> Event:
    """Return a batch as SQS delivers it the second time."""
    for record in sent["Records"]:
        attributes: Mapping[str, Any] = record["attributes"]
        record["attributes"] = {**attributes, "ApproximateReceiveCount": "2"}
    return sent


if __name__ == "__main__":
    with mock_aws():
        create_table(boto3.client("dynamodb"))
        functions = Functions(create_queue(boto3.client("sqs")))
        requests(functions)
        reports(functions)
