"""The whole stack, started once for all tests of this folder, and an image server per test."""

from collections.abc import Iterator

import pytest

from local.client import ApiClient
from local.stack.process import StackProcess
from retail_pulse.domain.api_keys import new_key
from retail_pulse.storage.api_keys_table import ApiKeysTable


@pytest.fixture(scope="session")
def stack() -> Iterator[StackProcess]:
    # Tests invoke reprocess by themselves.
    with StackProcess(parameters={"ReprocessSchedule": "rate(365 days)"}) as running:
        yield running


@pytest.fixture(scope="session")
def client(stack: StackProcess) -> Iterator[ApiClient]:
    with ApiClient(stack.url, stack.api_key) as caller:
        yield caller


@pytest.fixture(scope="session")
def other_client(stack: StackProcess) -> Iterator[ApiClient]:
    key = new_key()
    ApiKeysTable(stack.client("dynamodb"), stack.table_name).issue(key, "other")
    with ApiClient(stack.url, key) as caller:
        yield caller
