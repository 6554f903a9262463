"""The stack, the browser and a tab with the console; after each test, what no tab may ever have done is checked."""

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from local.client import ApiClient
from local.stack.process import StackProcess
from retail_pulse.domain.api_keys import KeyScope, new_key
from retail_pulse.storage.api_keys_table import ApiKeysTable

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

    from tests.browser.console import Files, Log, Tab

# Without the packages of `make browser`, the modules cannot be imported; `make test` leaves these tests out anyway.
collect_ignore_glob = [] if find_spec("playwright") else ["test_*.py"]


@pytest.fixture(scope="session")
def stack() -> Iterator[StackProcess]:
    with StackProcess(parameters={"DelayMaxSeconds": "0.1"}) as running:
        yield running


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    from tests.browser import chromium

    program = chromium.find()
    if program is None:
        pytest.exit(chromium.MISSING, returncode=1)
    with chromium.launched(program) as running:
        yield running


@pytest.fixture
def issue(stack: StackProcess) -> Callable[..., str]:
    """A function that makes a key of a client, by default with all scopes."""

    def make(client: str, *scopes: KeyScope) -> str:
        key = new_key()
        table = ApiKeysTable(stack.client("dynamodb"), stack.table_name)
        table.issue(key, client, frozenset(scopes) or frozenset(KeyScope))
        return key

    return make


@pytest.fixture
def key(issue: Callable[..., str], request: pytest.FixtureRequest) -> str:
    """A key of a client that only this test has, so that its lists show nothing else."""
    return issue(f"test-{abs(hash(request.node.nodeid)) % 10**12}")


@pytest.fixture
def client(stack: StackProcess, key: str) -> Iterator[ApiClient]:
    """The test's client without a browser."""
    with ApiClient(stack.url, key) as caller:
        yield caller


@pytest.fixture(scope="session")
def files() -> "Files":
    from tests.browser.console import Files

    return Files()


@pytest.fixture
def context(browser: "Browser", stack: StackProcess, files: "Files") -> Iterator["BrowserContext"]:
    from tests.browser.console import STATIC, context_of

    with context_of(browser) as opened:
        opened.route(f"{stack.url}{STATIC}**", files.serve)
        yield opened
        # A file may still be on its way, which would fail the next test.
        opened.unroute_all(behavior="ignoreErrors")


@pytest.fixture
def log(stack: StackProcess, context: "BrowserContext") -> Iterator["Log"]:
    """What all tabs of the test do. No test expects an exception, a violated policy, or a request to another host."""
    from tests.browser.console import Log

    found = Log(stack.url)
    context.on("page", found.watch)
    yield found
    assert found.faults == []


@pytest.fixture
def new_tab(context: "BrowserContext", stack: StackProcess, key: str, log: "Log") -> Callable[[], "Tab"]:
    from tests.browser.console import Tab

    return lambda: Tab(context.new_page(), stack.url, key, log)


@pytest.fixture
def tab(new_tab: Callable[[], "Tab"]) -> "Tab":
    return new_tab()
