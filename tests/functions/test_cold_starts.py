"""What a cold start prepares, and what an invocation therefore does not create again."""

import gc
import json
from collections.abc import Callable
from types import ModuleType

import boto3
import pytest
import requests

from local.images.pictures import Format, make_image
from local.images.server import ImageServer
from local.lambda_host.context import Context
from local.lambda_host.events import event
from tests.support.queue import messages

Load = Callable[[str], ModuleType]


def test_the_garbage_collector_rarely_walks_a_large_body(load: Load) -> None:
    load("submit")
    assert gc.get_threshold()[0] >= 100_000
    assert gc.get_freeze_count() > 1000


def test_an_invocation_creates_no_client_no_adapter_and_no_second_connection(
    load: Load, environment: str, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit, process = load("submit"), load("process")

    def process_a_job(server: ImageServer) -> None:
        visit = {"store_id": "S00339218", "image_url": [server.url("/a.png")], "visit_time": "now"}
        body = json.dumps({"count": 1, "visits": [visit]})
        assert submit.handler(event("submit") | {"body": body}, context)["statusCode"] == 201
        sent = messages(environment)
        with monkeypatch.context() as patch:
            patch.setattr(boto3.Session, "client", fail)
            patch.setattr(requests.adapters.HTTPAdapter, "__init__", fail)
            assert process.handler(sent, context) == {"batchItemFailures": []}

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("created in an invocation")

    with ImageServer() as server:
        server.add("/a.png", make_image(Format.PNG, 64, 48))
        for _ in range(3):
            process_a_job(server)
        assert (len(server.requests), server.accepted) == (3, 1)
