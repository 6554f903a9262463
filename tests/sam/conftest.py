"""The service on `sam local`, built and started once per module; and an image server that containers can reach."""

from collections.abc import Iterator
from functools import cache

import pytest

from local.client import ApiClient
from local.images.server import ImageServer
from local.sam import build, needs
from local.sam.host import NAME, bridge_address, relay
from local.sam.stage import SamLocalStage


@cache
def check_needs() -> None:
    """End the run if something is missing: a run without tests must not look as if it passed."""
    try:
        needs.check()
    except needs.MissingError as error:
        pytest.exit(str(error), returncode=1)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("sam_local"):
        check_needs()


# Per module: two stages of one checkout would share the build, and remove each other's containers.
@pytest.fixture(scope="module")
def stage() -> Iterator[SamLocalStage]:
    """A stage without poller and timer: its functions run only when a test or a request invokes them."""
    build.build()
    with SamLocalStage(takes_events=False) as running:
        yield running


@pytest.fixture
def client(stage: SamLocalStage) -> Iterator[ApiClient]:
    with ApiClient(stage.url, stage.stack.api_key) as caller:
        yield caller


class ReachableImages:
    """An image server, with URLs that containers can reach."""

    def __init__(self, server: ImageServer) -> None:
        self.server = server

    def url(self, path: str) -> str:
        return f"http://{NAME}:{self.server.port}{path}"

    def add(self, path: str, body: bytes) -> str:
        self.server.add(path, body)
        return self.url(path)


@pytest.fixture
def images() -> Iterator[ReachableImages]:
    with ImageServer() as server, relay(server.port, bridge_address()):
        yield ReachableImages(server)
