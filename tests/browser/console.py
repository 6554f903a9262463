"""The console in one tab, as its users operate it, and what a tab must never do."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Download, Locator, Page, Request, Route, expect

from tests.support.waiting import END_SECONDS

# A refused or failed request is logged by the browser itself.
_EXPECTED: Final = ("Failed to load resource",)
STATIC: Final = "/console/"
# On a busy machine, Playwright's 5 s are not always enough.
expect.set_options(timeout=30_000)


@dataclass
class Log:
    """What all tabs of a test asked for, and what they should not have done."""

    origin: str
    requests: list[Request] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        """Record the requests and faults of a page from now on."""
        page.on("request", self._request)
        page.on("console", self._message)
        page.on("pageerror", lambda error: self.faults.append(f"exception: {error}"))

    def _request(self, request: Request) -> None:
        self.requests.append(request)
        is_own = request.url.startswith((f"{self.origin}/", "blob:", "data:"))
        if not is_own and request.resource_type != "image":
            self.faults.append(f"a request to another host: {request.url}")
        if "rpk_" in request.url or "local-dev-key" in request.url:
            self.faults.append(f"a key in an address: {request.url}")

    def _message(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not message.text.startswith(_EXPECTED):
            self.faults.append(f"{message.type}: {message.text}")

    def paths(self, start: str = "/api/") -> list[str]:
        """Return the paths and queries of the requests so far that start with a text."""
        parts = [urlsplit(request.url) for request in self.requests if request.url.startswith(self.origin)]
        return [part.path + (f"?{part.query}" if part.query else "") for part in parts if part.path.startswith(start)]


@dataclass(frozen=True)
class Tab:
    """A tab with the console."""

    page: Page
    url: str
    key: str
    log: Log

    def open(self, place: str = "") -> None:
        """Load the console at a place such as ``jobs?status=failed``, as an address from the outside."""
        self.page.goto(f"{self.url}/{f'#/{place}' if place else ''}")

    def go(self, place: str) -> None:
        """Follow a link within the console."""
        self.page.evaluate("place => { location.hash = place }", f"#/{place}")

    def sign_in(self, key: str | None = None) -> None:
        """Enter a key and send the form; the test's own key by default."""
        self.page.get_by_label("API key", exact=True).fill(key or self.key)
        self.page.get_by_role("button", name="Sign in").click()

    def start(self, place: str = "jobs", key: str | None = None) -> None:
        """Open a place and sign in there."""
        self.open(place)
        self.sign_in(key)
        expect(self.page.get_by_role("button", name="Sign out")).to_be_visible()

    def choose(self, name: str, content: str | bytes) -> None:
        """Choose a file of visits on the page of a new submission."""
        data = content if isinstance(content, bytes) else content.encode()
        self.page.locator("input[type=file]").set_input_files([{"name": name, "mimeType": "text/csv", "buffer": data}])

    def submit(self) -> int:
        """Submit the file that was chosen, and return the id of the job whose page follows."""
        self.page.get_by_role("button", name="Submit ").click()
        self.page.wait_for_url("**/#/jobs/*")
        return int(self.page.url.rpartition("/")[2])

    def wait_for_end(self, status: str) -> None:
        """Wait until the page of a job shows that it has ended."""
        expect(self.heading.locator(".status")).to_have_text(status, timeout=END_SECONDS * 1000)

    def download(self, name: str) -> str:
        """Choose an entry of a job's menu of downloads and return the file's text."""
        self.page.locator("summary", has_text="Download CSV").click()
        with self.page.expect_download() as found:
            self.page.locator(".menu").get_by_role("button", name=name).click()
        return text_of(found.value)

    @property
    def heading(self) -> Locator:
        """The line with the page's title."""
        return self.page.locator(".heading")

    @property
    def title(self) -> Locator:
        """The page's title."""
        return self.page.locator("h1")

    def table(self, label: str) -> Locator:
        """Return the rows of a long table that are drawn."""
        return self.page.get_by_role("region", name=label).locator("tbody tr:not(.gap)")

    def cells(self, label: str) -> list[list[str]]:
        """Return the texts of the rows of a long table that are drawn."""
        return [row.locator("td").all_inner_texts() for row in self.table(label).all()]

    def wait(self, condition: Callable[[], bool]) -> None:
        """Wait for what the page does not show, such as a request, while the browser's events go on."""
        deadline = time.monotonic() + END_SECONDS
        while not condition():
            assert time.monotonic() < deadline, "not in time"
            self.page.wait_for_timeout(50)


def text_of(download: Download) -> str:
    """Return a downloaded file's text, which starts with the mark that spreadsheets need."""
    return Path(download.path()).read_bytes().decode("utf-8-sig")


class Files:
    """Serves the console's files from memory, once they are known.

    Each test has a new profile, whose cache is empty. All files for each test would go over the limit of their route.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[dict[str, str], bytes]] = {}

    def serve(self, route: Route) -> None:
        """Answer a request for a file as the service did the first time."""
        url = route.request.url
        if url not in self._known:
            found = route.fetch()
            assert found.status == 200, f"{found.status} for {url}"
            left_out = {"content-encoding", "content-length", "transfer-encoding"}
            headers = {name: value for name, value in found.headers.items() if name not in left_out}
            self._known[url] = (headers, found.body())
        headers, body = self._known[url]
        route.fulfill(status=200, headers=headers, body=body)


@contextmanager
def context_of(browser: Browser, **options: Any) -> Iterator[BrowserContext]:
    """Open a browser profile that is gone after the block, in one time zone and language."""
    context = browser.new_context(**{"locale": "en-GB", "timezone_id": "UTC", **options})
    try:
        yield context
    finally:
        context.close()


def lines(*rows: Sequence[str], header: Sequence[str] = ("store_id", "visit_time", "image_url")) -> str:
    """Return a file of visits from its cells, none of which needs quotes."""
    return "".join(f"{','.join(row)}\r\n" for row in (header, *rows))
