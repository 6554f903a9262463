"""What pages show when the API is away, fails, refuses the key, or allows too little."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Route, expect

from local.client import ApiClient
from local.images.server import ImageServer
from retail_pulse.domain.api_keys import KeyScope
from tests.browser.console import Tab, lines
from tests.support.waiting import END_SECONDS

pytestmark = pytest.mark.browser

# A job with this URL ends at once.
NO_URL = "no-url"
STORE = "S00339218"


@pytest.fixture
def good(images: ImageServer, picture: bytes) -> str:
    """A file of one visit with one image."""
    return lines((STORE, "2026-11-23T10:00:00Z", images.add("/1.jpg", picture)))


@pytest.fixture
def job(client: ApiClient) -> int:
    found = client.submit((STORE, [NO_URL]))
    client.wait(found, END_SECONDS)
    return found


def refuse(route: Route) -> None:
    """Answer as API Gateway answers for a key that was revoked."""
    route.fulfill(status=403, json={"message": "Forbidden"})


def test_offline_what_was_seen_stays_and_the_page_recovers_by_itself(tab: Tab, job: int) -> None:
    tab.start()
    expect(tab.page.locator("table.jobs tbody tr")).to_have_count(1)
    tab.page.locator("table.jobs a").click()
    expect(tab.table("Table of images")).to_have_count(1)

    # WHEN the service cannot be reached, THEN a page that was seen is still shown, with a line that says since when
    tab.page.context.set_offline(True)
    tab.page.locator(".back a").click()
    expect(tab.page.locator(".offline")).to_contain_text("No connection since ")
    expect(tab.page.locator("table.jobs tbody tr")).to_have_count(1)

    # WHEN it is back, THEN the page notices
    tab.page.context.set_offline(False)
    expect(tab.page.locator(".offline")).to_have_count(0)
    expect(tab.page.get_by_role("alert")).to_have_count(0)


def test_a_report_of_many_pages_is_shown_while_it_is_read(tab: Tab) -> None:
    visit = {"date": "2026-11-23T10:00:00Z", "perimeter": 420}
    row = {"store_id": STORE, "area": "7100015", "store_name": "A store", "data": [visit]}
    held: list[Route] = []

    def answer(route: Route) -> None:
        if "cursor=" in route.request.url:
            held.append(route)
        else:
            route.fulfill(json={"results": [row], "next_cursor": "more"})

    tab.page.route("**/api/visits?*", answer)
    tab.start("reports")

    # WHEN the second page does not come yet, THEN the first is shown, and what is counted is said to be incomplete
    heading = tab.page.get_by_role("heading", name="1 visit")
    expect(heading).to_have_text("1 visit of 1 store so far")
    expect(tab.table("Table of visits")).to_have_count(1)

    held.pop().fulfill(json={"results": [row | {"store_id": "S01408764"}], "next_cursor": None})
    expect(tab.page.get_by_role("heading", name="2 visits")).to_have_text("2 visits of 2 stores")


def test_a_page_that_misses_a_file_says_so_in_place_of_staying_blank(tab: Tab) -> None:
    tab.page.route("**/console/*/router.js", lambda route: route.fulfill(status=429))

    tab.open()

    again = tab.page.get_by_role("link", name="Load it again")
    expect(again).to_be_visible()
    tab.page.unroute("**/console/*/router.js")
    again.click()
    expect(tab.title).to_have_text("Sign in")
    expect(again).to_be_hidden()


def test_a_failing_service_is_reported_with_the_request_id_and_can_be_asked_again(tab: Tab) -> None:
    problem = {"code": "internal_error", "detail": "The service has failed.", "request_id": "request-17"}
    tab.page.route("**/api/jobs?*", lambda route: route.fulfill(status=500, json=problem))

    tab.start()

    alert = tab.page.get_by_role("alert")
    expect(alert).to_contain_text("The jobs could not be loaded. The service has failed. Report the request id.")
    expect(alert.locator("code")).to_have_text("request-17")
    tab.page.unroute("**/api/jobs?*")
    alert.get_by_role("button", name="Try again").click()
    expect(tab.page.get_by_role("heading", name="No jobs yet")).to_be_visible()
    expect(alert).to_have_count(0)


def test_a_busy_service_is_asked_again_without_a_word(tab: Tab) -> None:
    refused: list[Route] = []

    def answer(route: Route) -> None:
        if refused:
            route.fallback()
            return
        refused.append(route)
        route.fulfill(status=429, json={"message": "Too Many Requests"})

    tab.page.route("**/api/jobs?*", answer)
    tab.start()

    expect(tab.page.get_by_role("heading", name="No jobs yet")).to_be_visible()
    assert len(refused) == 1


def test_a_key_that_is_refused_later_leads_back_to_sign_in_and_the_place_is_kept(tab: Tab, job: int) -> None:
    place = f"jobs/{job}?outcome=failed"
    tab.start(place)
    expect(tab.table("Table of images")).to_have_count(1)

    # WHEN the key has been revoked
    tab.page.route("**/api/**", refuse)
    tab.page.reload()

    # THEN the reader is told, and no key stays in the tab
    expect(tab.title).to_have_text("Sign in")
    expect(tab.page.get_by_role("main")).to_contain_text("Your API key is no longer accepted")
    assert tab.page.evaluate("JSON.stringify(sessionStorage)") == "{}"
    # AND another key leads to the same place
    tab.page.unroute("**/api/**")
    tab.sign_in()
    expect(tab.table("Table of images")).to_have_count(1)
    assert tab.page.url.endswith(f"#/{place}")


def test_a_file_that_is_ready_survives_a_key_that_is_refused(tab: Tab, good: str) -> None:
    tab.start("new")
    tab.choose("visits.csv", good)
    tab.page.route("**/api/submit", refuse)
    tab.page.get_by_role("button", name="Submit 1 image").click()
    expect(tab.title).to_have_text("Sign in")

    tab.page.unroute("**/api/submit")
    tab.sign_in()

    expect(tab.page.get_by_role("button", name="Submit 1 image")).to_be_visible()
    tab.submit()
    expect(tab.title).to_have_text("visits.csv")


def test_without_a_scope_a_button_says_why(tab: Tab, issue: Callable[..., str], good: str) -> None:
    tab.start("jobs", issue("reader", KeyScope.READ))
    button = tab.page.get_by_role("main").get_by_role("button", name="New submission")
    expect(button).to_have_attribute("aria-disabled", "true")
    expect(button).to_have_accessible_description("This key has no scope “submit”.")

    # It can check a file, but not send it.
    tab.go("new")
    tab.choose("visits.csv", good)
    submit = tab.page.get_by_role("button", name="Submit 1 image")
    expect(submit).to_have_accessible_description("This key has no scope “submit”.")
    submit.click(force=True)
    assert "/api/submit" not in tab.log.paths()


def test_a_key_that_may_only_submit_is_told_what_it_cannot_read(tab: Tab, issue: Callable[..., str], good: str) -> None:
    tab.start("jobs", issue("writer", KeyScope.SUBMIT))

    for place in ("jobs", "reports", "jobs/1"):
        tab.go(place)
        expect(tab.page.get_by_role("main")).to_contain_text("This key cannot read")
    # Its submission has no page to lead to.
    tab.go("new")
    tab.choose("visits.csv", good)
    tab.page.get_by_role("button", name="Submit 1 image").click()
    expect(tab.page.get_by_role("heading", name="Submitted", exact=True)).to_be_visible()


def test_an_unknown_job_and_an_unknown_page_say_so(tab: Tab) -> None:
    tab.start("jobs/1")
    expect(tab.page.get_by_role("alert")).to_contain_text("No such job.")

    tab.go("nowhere")
    expect(tab.title).to_have_text("No such page")


def test_a_refused_submission_can_be_sent_again_and_makes_one_job(tab: Tab, client: ApiClient, good: str) -> None:
    # GIVEN a response that is lost after the service has accepted the job
    def lose(route: Route) -> None:
        route.fetch()
        route.abort()

    tab.start("new")
    tab.choose("visits.csv", good)
    tab.page.route("**/api/submit", lose)
    tab.page.get_by_role("button", name="Submit 1 image").click()
    expect(tab.page.get_by_role("alert")).to_contain_text("Nothing was submitted. The service cannot be reached.")

    # WHEN it is sent again, THEN the page leads to the first job
    tab.page.unroute("**/api/submit")
    tab.page.get_by_role("button", name="Try again").click()
    expect(tab.page.get_by_role("heading", name="Submitted", exact=True)).to_be_visible()
    assert len(client.read("/api/jobs")["jobs"]) == 1
