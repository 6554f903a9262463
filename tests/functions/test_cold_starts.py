"""What a cold start prepares, and what an invocation therefore does not create again."""

import gc

import botocore.session
import pytest
import requests

from local.images.pictures import Format, make_image
from local.images.server import ImageServer
from local.lambda_host.context import Context
from local.lambda_host.environment import FUNCTIONS
from local.lambda_host.load import run_cold
from tests.functions.service import Service

# The console imports next to nothing, and has no collector to stop.
COUNT_COLLECTIONS = """
import gc
collections = []
gc.callbacks.append(lambda phase, info: collections.append(phase))
import app
print(len(collections), gc.isenabled(), gc.get_freeze_count() > 10_000)
"""


@pytest.mark.parametrize("function", sorted(FUNCTIONS.keys() - {"console"}))
def test_a_cold_start_collects_no_garbage(function: str) -> None:
    # Without bytecode, the collector would run while the handler is compiled, before its first line can stop it.
    run_cold("import app", function)
    assert run_cold(COUNT_COLLECTIONS, function).split() == ["0", "True", "True"]


def test_the_garbage_collector_rarely_walks_a_large_body(service: Service) -> None:
    service.load("submit")
    assert gc.get_threshold()[0] >= 100_000
    assert gc.get_freeze_count() > 1000


def test_an_invocation_creates_no_client_no_adapter_and_no_second_connection(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = service.load("process")

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("created in an invocation")

    # Otherwise each connection would rest, and the next invocation would open another one.
    monkeypatch.setattr(process.fetcher._adapter._idle, "_rest_seconds", 0.0)
    with ImageServer() as server:
        url = server.add("/a.png", make_image(Format.PNG, 64, 48))
        for _ in range(3):
            service.submit(url)
            sent = service.messages()
            with monkeypatch.context() as patch:
                patch.setattr(botocore.session.Session, "create_client", fail)  # boto3 calls it too
                patch.setattr(requests.adapters.BaseAdapter, "__init__", fail)
                assert process.handler(sent, Context()) == {"batchItemFailures": []}
        assert (len(server.requests), server.accepted) == (3, 1)
