"""Several tabs, what a tab keeps, and when it polls."""

import threading
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from local.client import ApiClient
from local.images.server import ImageServer, held
from tests.browser.console import Tab, lines
from tests.support.waiting import END_SECONDS

pytestmark = pytest.mark.browser

STORE = "S00339218"


@pytest.fixture
def photo(images: ImageServer, picture: bytes) -> str:
    return images.add("/1.jpg", picture)


def test_the_key_stays_in_its_tab_and_nowhere_else(tab: Tab, new_tab: Callable[[], Tab]) -> None:
    tab.start()

    # It survives a reload of the tab, and another tab knows nothing of it.
    tab.page.reload()
    expect(tab.title).to_have_text("Jobs")
    other = new_tab()
    other.open("reports")
    expect(other.title).to_have_text("Sign in")

    state = tab.page.context.storage_state(indexed_db=True)
    assert (state["cookies"], state["origins"]) == ([], [])
    assert tab.page.evaluate("[document.cookie, localStorage.length, history.state]") == ["", 0, None]
    assert tab.key not in tab.page.url
    assert tab.key not in tab.page.content()

    # Signing out ends it.
    tab.page.get_by_role("button", name="Sign out").click()
    expect(tab.title).to_have_text("Sign in")
    assert tab.page.evaluate("sessionStorage.length") == 0


def test_two_tabs_watch_one_job_and_submit_one_file_only_once(
    tab: Tab, new_tab: Callable[[], Tab], client: ApiClient, images: ImageServer, picture: bytes
) -> None:
    answer = threading.Event()
    url = images.script("/1.jpg", held(picture, answer))
    other = new_tab()
    for each in (tab, other):
        each.start("new")
        each.choose("visits.csv", lines((STORE, "2026-11-23T10:00:00Z", url)))

    # WHEN both submit the same file, THEN the second is told so, and led to the job of the first
    job = tab.submit()
    other.page.get_by_role("button", name="Submit 1 image").click()
    expect(other.page.get_by_role("main")).to_contain_text("This file was submitted before, within the last day")
    other.page.get_by_role("link", name=f"Job {job}").click()
    assert [each["job_id"] for each in client.read("/api/jobs")["jobs"]] == [str(job)]

    # THEN both see it end
    for each in (tab, other):
        expect(each.heading.locator(".status")).to_have_text("Ongoing")
    answer.set()
    for each in (tab, other):
        each.wait_for_end("Completed")

    # AND the file makes another job only for a reader who says so
    other.page.go_back()
    other.page.get_by_role("button", name="Submit it again as new jobs").click()
    other.page.wait_for_url(lambda found: "/jobs/" in found and not found.endswith(str(job)))
    assert len(client.read("/api/jobs")["jobs"]) == 2


def test_a_job_is_polled_while_it_runs_and_no_longer(
    tab: Tab, client: ApiClient, images: ImageServer, picture: bytes
) -> None:
    answer = threading.Event()
    job = client.submit((STORE, [images.script("/1.jpg", held(picture, answer))]))
    path = f"/api/jobs/{job}"
    tab.page.clock.install()
    tab.start(f"jobs/{job}")
    expect(tab.heading.locator(".status")).to_have_text("Ongoing")

    # WHILE it runs, every two seconds on the page's clock ask for it
    def asked(times: int) -> Callable[[], bool]:
        return lambda: tab.log.paths().count(path) > times

    for _ in range(3):
        before = tab.log.paths().count(path)
        tab.page.clock.fast_forward(2000)
        tab.wait(asked(before))

    # AFTER its end, an hour asks for nothing
    answer.set()
    client.wait(job, END_SECONDS)
    tab.page.clock.fast_forward(2000)
    tab.wait_for_end("Completed")
    expect(tab.table("Table of images").first).to_contain_text("Measured")
    tab.page.wait_for_load_state("networkidle")
    before = len(tab.log.paths())
    tab.page.clock.run_for(3_600_000)
    assert tab.log.paths()[before:] == []


def test_a_list_without_a_running_job_is_not_polled(tab: Tab, client: ApiClient, photo: str) -> None:
    client.wait(client.submit((STORE, [photo])), END_SECONDS)
    tab.page.clock.install()
    tab.start()
    expect(tab.page.locator("table.jobs tbody tr")).to_have_count(1)
    before = len(tab.log.requests)

    tab.page.clock.run_for(3_600_000)

    assert len(tab.log.requests) == before


def test_the_address_bar_says_what_is_shown(tab: Tab, client: ApiClient, photo: str) -> None:
    client.wait(client.submit((STORE, [photo])), END_SECONDS)
    tab.start("jobs?status=failed&from=2026-01-01")
    expect(tab.page.get_by_role("heading", name="No job matches these filters")).to_be_visible()
    expect(tab.page.get_by_label("Status")).to_have_value("failed")
    expect(tab.page.get_by_label("From")).to_have_value("2026-01-01")

    tab.page.get_by_label("Status").select_option("Completed")
    expect(tab.page.locator("table.jobs tbody tr")).to_have_count(1)
    assert tab.page.url.endswith("#/jobs?status=completed&from=2026-01-01")
    tab.page.go_back()
    expect(tab.page.get_by_label("Status")).to_have_value("failed")
    tab.page.get_by_role("link", name="Clear filters").click()
    expect(tab.page.locator("table.jobs tbody tr")).to_have_count(1)


def test_the_jobs_cost_one_request_after_the_sign_in_and_one_per_failed_job(
    tab: Tab, client: ApiClient, photo: str
) -> None:
    for url in (photo, photo, "no-url"):
        client.wait(client.submit((STORE, [url])), END_SECONDS)

    tab.start()

    rows = tab.page.locator("table.jobs tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.first).to_contain_text("1 image failed in 1 visit")
    paths = tab.log.paths()
    assert [path.partition("?")[0].rstrip("0123456789") for path in paths] == ["/api/usage", "/api/jobs", "/api/jobs/"]
