"""Every page in both themes, checked by axe-core, and what all pages cost over the wire."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Request, expect

from local.checkout import ROOT
from local.client import ApiClient
from local.images.server import ImageServer
from tests.browser.console import STATIC, Tab, context_of, lines
from tests.support.waiting import END_SECONDS

pytestmark = pytest.mark.browser

AXE: Path = ROOT / "tools" / "node" / "node_modules" / "axe-core" / "axe.min.js"
STORE = "S00339218"
MAX_BYTES = 150_000


@pytest.fixture
def job(client: ApiClient, images: ImageServer, picture: bytes) -> int:
    urls = [images.add(f"/{number}.jpg", picture) for number in range(3)]
    found = client.submit((STORE, [*urls, images.url("/missing.jpg")]), ("S99999999", urls))
    client.wait(found, END_SECONDS)
    client.wait(client.submit((STORE, urls)), END_SECONDS)
    return found


def findings(tab: Tab) -> list[str]:
    """Return what axe-core says of the page as it is: the rule and the elements."""
    # The debugger's protocol brings it into the page, so the page's Content-Security-Policy stays on.
    tab.page.evaluate(AXE.read_text(encoding="utf-8") + "; 0")
    found: list[dict[str, Any]] = tab.page.evaluate("async () => (await axe.run()).violations")
    return [
        f"{each['impact']}: {each['id']}: {[node['target'] for node in each['nodes'][:3]]}"
        for each in found
        if each["impact"] in {"serious", "critical"}
    ]


@pytest.mark.skipif(not AXE.exists(), reason="there is no axe-core: `make node` installs it")
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_page_has_a_serious_finding(tab: Tab, job: int, theme: str) -> None:
    page = tab.page
    page.emulate_media(color_scheme=theme)
    found = {}

    def check(name: str) -> None:
        found[name] = findings(tab)

    tab.open()
    tab.sign_in("mistyped")
    expect(page.get_by_role("alert")).to_contain_text("not valid")
    check("sign in")
    tab.sign_in()
    expect(page.locator("table.jobs tbody tr")).to_have_count(2)
    check("jobs")
    page.keyboard.press("?")
    check("help")
    page.keyboard.press("Escape")
    tab.go("jobs?status=ongoing")
    expect(page.get_by_role("heading", name="No job matches these filters")).to_be_visible()
    check("no jobs")

    tab.go(f"jobs/{job}")
    expect(page.locator(".reason")).to_have_count(2)
    expect(tab.table("Table of images")).to_have_count(7)
    tab.table("Table of images").first.get_by_role("button").click()
    expect(page.locator(".preview.shown")).to_be_visible()
    page.locator("summary", has_text="Download CSV").click()
    check("job")

    tab.go("new")
    expect(tab.title).to_have_text("New submission")
    check("new")
    tab.choose("visits.csv", lines((STORE, "yesterday", "http://127.0.0.1/1.jpg"), ("", "2026-11-23", "photo.jpg")))
    page.locator("summary", has_text="1 warning").click()
    check("problems")

    tab.go(f"reports?store={STORE}")
    expect(page.locator(".chart canvas")).to_be_visible()
    check("reports")

    assert {name: each for name, each in found.items() if each} == {}


def test_all_pages_together_stay_small_and_are_loaded_once(browser: Browser, tab: Tab, job: int) -> None:
    sizes: dict[str, int] = {}

    def measure(request: Request) -> None:
        if STATIC in request.url:
            sizes.setdefault(request.url, request.sizes()["responseBodySize"])

    # A profile that loads the files from the service, compressed.
    with context_of(browser) as fresh:
        fresh.on("page", tab.log.watch)
        fresh.on("requestfinished", measure)
        own = Tab(fresh.new_page(), tab.url, tab.key, tab.log)
        own.start()
        own.go(f"jobs/{job}")
        expect(own.table("Table of images")).to_have_count(7)
        own.go("new")
        own.choose("visits.csv", lines((STORE, "2026-11-23", "http://127.0.0.1/1.jpg")))
        expect(own.page.get_by_role("button", name="Submit 1 image")).to_be_visible()
        own.go(f"reports?store={STORE}")
        expect(own.page.locator(".chart canvas")).to_be_visible()

        # The icon of the tab is asked for at each address, and then comes from the browser's cache.
        files = [path for path in own.log.paths(STATIC) if not path.endswith("icon.svg")]
        assert len(files) == len(set(files))
        own.wait(lambda: len(sizes) > len(files))
    assert 0 < sum(sizes.values()) < MAX_BYTES
