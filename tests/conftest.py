"""What all tests share: AWS variables that name no real account, and how tests are spread over processes."""

import functools
import os
from collections.abc import Iterator

import pytest
from botocore.loaders import JSONFileLoader
from hypothesis import settings

# Set before any module could make a client.
os.environ.update(
    AWS_ACCESS_KEY_ID="testing",
    AWS_SECRET_ACCESS_KEY="testing",
    AWS_DEFAULT_REGION="us-east-1",
    AWS_EC2_METADATA_DISABLED="true",
    POWERTOOLS_METRICS_NAMESPACE="RetailPulse",
    POWERTOOLS_SERVICE_NAME="test",
)

# Without a limit on the time of an example, and always with the same examples: `make fuzz` takes others.
settings.load_profile("ci")

pytest_plugins = ["tests.support.image_fixtures"]


@pytest.fixture(scope="session", autouse=True)
def models_read_once() -> Iterator[None]:
    """Read each of botocore's models once per process: moto makes a session for each test, and they share nothing."""
    read = functools.cache(JSONFileLoader().load_file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JSONFileLoader, "load_file", lambda _, path: read(path))
        yield


# The slowest folders start first, so that none of them is still running when the rest is done.
_FIRST = ("faults", "protocol", "stack", "api_clients", "functions")
# Their tests share nothing, so each may run in any process. Tests of the other folders stay together by file.
_SPREAD = {"protocol"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        folder = item.path.parent.name
        return _FIRST.index(folder) if folder in _FIRST else len(_FIRST)

    items.sort(key=place)
    for item in items:
        if item.path.parent.name not in _SPREAD:
            item.add_marker(pytest.mark.xdist_group(str(item.path)))
