"""The console without a mouse."""

import pytest
from playwright.sync_api import FileChooser, Locator, expect

from local.client import ApiClient
from local.images.server import ImageServer
from tests.browser.console import Tab, lines
from tests.support.waiting import END_SECONDS

pytestmark = pytest.mark.browser

STORE = "S00339218"


@pytest.fixture
def job(client: ApiClient, images: ImageServer, picture: bytes) -> int:
    found = client.submit((STORE, [images.add(f"/{number}.jpg", picture) for number in range(3)]))
    client.wait(found, END_SECONDS)
    return found


def test_single_keys_lead_to_pages_filters_and_help(tab: Tab, job: int) -> None:
    tab.start()
    press = tab.page.keyboard.press

    press("n")
    expect(tab.title).to_have_text("New submission")
    press("r")
    expect(tab.title).to_have_text("Reports")
    press("/")
    expect(tab.page.get_by_label("Area")).to_be_focused()
    # In a field, a key is text.
    press("n")
    expect(tab.page.get_by_label("Area")).to_have_value("n")
    expect(tab.title).to_have_text("Reports")
    press("Escape")
    tab.go("jobs")
    expect(tab.title).to_be_focused()
    press("/")
    expect(tab.page.get_by_label("Status")).to_be_focused()

    tab.title.focus()
    press("?")
    expect(tab.page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    press("Escape")
    expect(tab.page.get_by_role("dialog")).to_have_count(0)


def test_the_title_has_the_focus_after_each_navigation(tab: Tab, job: int) -> None:
    tab.open()
    expect(tab.page.get_by_label("API key", exact=True)).to_be_focused()
    tab.page.keyboard.type(tab.key)
    tab.page.keyboard.press("Enter")
    expect(tab.title).to_have_text("Jobs")
    for place, title in (
        ("new", "New submission"),
        ("reports", "Reports"),
        (f"jobs/{job}", f"Job {job}"),
        ("jobs", "Jobs"),
    ):
        tab.go(place)
        expect(tab.title).to_have_text(title)
        expect(tab.title).to_be_focused()
        expect(tab.page).to_have_title(f"{title} · Retail Pulse")


def order(tab: Tab, first: Locator, count: int) -> list[str]:
    """Return the names of what the Tab key reaches, from an element on."""
    first.focus()
    names = []
    for _ in range(count):
        tab.page.keyboard.press("Tab")
        names.append(
            tab.page.evaluate(
                "() => { const e = document.activeElement;"
                " return (e.ariaLabel ?? e.labels?.[0]?.firstChild.textContent ?? e.textContent).trim() }"
            )
        )
    return names


def test_the_tab_key_reaches_everything_in_the_order_of_the_page(tab: Tab, job: int) -> None:
    tab.start()
    expect(tab.page.locator("table.jobs tbody tr")).to_have_count(1)
    # A field for a date has four stops: day, month, year and its calendar.
    assert order(tab, tab.title, 10) == ["New submission", "Status", *["From"] * 4, *["To"] * 4]
    assert order(tab, tab.page.get_by_label("To"), 1) == ["To"]

    tab.page.locator("body").press("Home")
    tab.page.reload()
    expect(tab.page.locator("table.jobs tbody tr")).to_have_count(1)
    skip = tab.page.get_by_role("link", name="Skip to the content")
    skip.focus()
    expect(skip).to_be_in_viewport()
    skip.press("Enter")
    expect(tab.title).to_be_focused()


def test_what_has_the_focus_is_marked(tab: Tab) -> None:
    tab.start()
    tab.title.focus()
    tab.page.keyboard.press("Tab")

    outline = tab.page.evaluate("getComputedStyle(document.activeElement).outline")
    assert outline.endswith(" solid 2px")


def test_a_preview_is_opened_stepped_through_and_closed_by_keys(tab: Tab, job: int) -> None:
    tab.start(f"jobs/{job}")
    first = tab.page.get_by_role("button", name="0.jpg")
    first.press("Enter")
    details = tab.page.get_by_role("complementary", name="Image")
    expect(details.get_by_role("heading")).to_have_text("0.jpg")
    expect(details.get_by_role("heading")).to_be_focused()
    tab.page.keyboard.press("ArrowDown")
    expect(details.get_by_role("heading")).to_have_text("1.jpg")
    tab.page.keyboard.press("ArrowUp")
    expect(details.get_by_role("heading")).to_have_text("0.jpg")
    tab.page.keyboard.press("Escape")
    expect(details).to_have_count(0)
    expect(first).to_be_focused()


def test_a_file_is_chosen_and_submitted_by_keys(tab: Tab, images: ImageServer, picture: bytes) -> None:
    # From the start on: a dialog that opens before the browser is told to intercept it is lost.
    choosers: list[FileChooser] = []
    tab.page.on("filechooser", lambda chooser: choosers.append(chooser))
    tab.start("new")
    file = tab.page.locator("input[type=file]")
    expect(tab.title).to_have_text("New submission")
    expect(tab.title).to_be_focused()
    tab.page.keyboard.press("Tab")
    expect(file).to_be_focused()
    tab.page.keyboard.press("Enter")
    tab.wait(lambda: len(choosers) == 1)
    content = lines((STORE, "2026-11-23T10:00:00Z", images.add("/1.jpg", picture)))
    choosers[0].set_files([{"name": "visits.csv", "mimeType": "text/csv", "buffer": content.encode()}])

    # The result has the focus, so the next stop is in it.
    submit = tab.page.get_by_role("button", name="Submit 1 image")
    expect(tab.page.locator(".result")).to_be_focused()
    tab.page.keyboard.press("Tab")
    expect(submit).to_be_focused()
    tab.page.keyboard.press("Enter")
    expect(tab.title).to_have_text("visits.csv")
    tab.wait_for_end("Completed")


def test_the_end_of_a_job_is_announced(tab: Tab, job: int) -> None:
    tab.start(f"jobs/{job}")

    live = tab.page.locator("[aria-live=polite]")
    expect(live).to_have_text("The job has ended: 3 measured, 0 failed, 0 pending.")
