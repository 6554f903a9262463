"""The whole way of a field manager with a spreadsheet of 500 visits and seven mistakes."""

import csv
import io

import pytest
from playwright.sync_api import expect

from local.images.server import ImageServer
from tests.browser.console import Tab, lines, text_of

pytestmark = pytest.mark.browser

VISITS = 500
STORES = ("S00339218", "S01408764")
# Rows as a spreadsheet counts them, with the column that is wrong and the mistake.
MISTAKES = {
    3: ("store_id", ""),
    41: ("image_url", ""),
    99: ("image_url", "ftp://photos.example/99.jpg"),
    100: ("visit_time", ""),
    250: ("store_id", "S" * 65),
    377: ("image_url", "shelf-377.jpg"),
    501: ("visit_time", "2026-11-23\t10:00"),
}
HEADER = ["store_id", "visit_time", "image_url"]
MISSING = "/gone.jpg"


def visits(images: ImageServer, picture: bytes) -> list[list[str]]:
    """Return the rows of 500 visits of one image each: two photos are missing, one is a page, one store is unknown."""
    urls = [images.add(f"/{row}.jpg", picture) for row in range(2, VISITS + 2)]
    urls[10] = urls[20] = images.url(MISSING)
    urls[30] = images.add("/login.html", b"<!doctype html><title>Sign in</title>")
    rows = [
        [STORES[number % 2], f"2026-11-{number % 28 + 1:02}T{number // 28:02}:00:00Z", url]
        for number, url in enumerate(urls)
    ]
    rows[40][0] = "S99999999"
    return rows


def with_mistakes(rows: list[list[str]]) -> list[list[str]]:
    wrong = [list(row) for row in rows]
    for row, (column, text) in MISTAKES.items():
        wrong[row - 2][HEADER.index(column)] = text
    return wrong


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_file_with_mistakes_is_corrected_submitted_watched_retried_and_downloaded(
    tab: Tab, images: ImageServer, picture: bytes
) -> None:
    rows = visits(images, picture)
    sign_in_after_a_mistyped_key(tab)
    see_every_problem_before_anything_is_sent(tab, rows)
    correct_submit_and_watch(tab, rows)
    see_what_failed_and_why(tab)
    filter_the_images(tab)
    look_at_one(tab, images)
    download_everything(tab, rows)
    # The missing photos are there again.
    images.add(MISSING, picture)
    retry(tab)
    read_the_report(tab)


def sign_in_after_a_mistyped_key(tab: Tab) -> None:
    tab.open()
    tab.sign_in("mistyped")
    expect(tab.page.get_by_role("alert")).to_contain_text("not valid")
    tab.sign_in()
    expect(tab.title).to_have_text("Jobs")
    expect(tab.page.get_by_role("heading", name="No jobs yet")).to_be_visible()


def see_every_problem_before_anything_is_sent(tab: Tab, rows: list[list[str]]) -> None:
    page = tab.page
    page.get_by_role("navigation").get_by_role("link", name="New submission").click()
    tab.choose("visits-week-48.csv", lines(*with_mistakes(rows)))

    expect(page.get_by_role("heading", name="7 problems")).to_be_visible()
    expected = [(row, column) for row, (column, _) in MISTAKES.items()]
    assert [(int(row), column) for row, column, *_ in tab.cells("Problems")] == expected
    submit = page.get_by_role("button", name="Submit ")
    expect(submit).to_have_attribute("aria-disabled", "true")
    expect(submit).to_have_accessible_description("Correct the problems first, or leave out their rows.")
    with page.expect_download() as found:
        page.get_by_role("button", name="Download the problems").click()
    problems = table(text_of(found.value))
    assert [(int(each["row"]), each["column"]) for each in problems] == expected
    assert all(each["problem"] and each["how_to_fix"] for each in problems)
    assert "/api/submit" not in tab.log.paths()


def correct_submit_and_watch(tab: Tab, rows: list[list[str]]) -> None:
    tab.page.get_by_role("button", name="Choose another file").click()
    tab.choose("visits-week-48.csv", lines(*rows))
    submit = tab.page.get_by_role("button", name=f"Submit {VISITS} images")
    expect(submit).not_to_have_attribute("aria-disabled", "true")
    tab.submit()
    expect(tab.title).to_have_text("visits-week-48.csv")
    tab.wait_for_end("Failed")


def see_what_failed_and_why(tab: Tab) -> None:
    reasons = tab.page.locator(".reason")
    expect(reasons).to_have_count(3)
    amounts = [text.partition(" in ")[0] for text in reasons.locator("p.quiet").all_inner_texts()]
    assert amounts == ["2 images", "1 image", "1 image"]
    missing = "The server answered 404: the photo is not at this address. http_status"
    expect(reasons.first.locator("h3")).to_have_text(missing)
    expect(reasons.filter(has_text="unknown_store")).to_contain_text("The store is not in the list of known stores.")
    expect(reasons.filter(has_text="not_an_image")).to_contain_text("often it shows a login or an error page")


def filter_the_images(tab: Tab) -> None:
    """Filter by outcome and store; the table and the address bar agree."""
    outcomes = tab.page.get_by_role("list", name="Outcome")
    outcomes.get_by_role("link", name="Failed").click()
    expect(tab.table("Table of images")).to_have_count(4)
    store = tab.page.get_by_label("Store", exact=True)
    store.fill("S99999999")
    expect(tab.table("Table of images")).to_have_count(1)
    assert tab.page.url.endswith("?outcome=failed&store=S99999999")
    store.fill("")
    outcomes.get_by_role("link", name="Measured").click()
    expect(tab.table("Table of images").first.locator("td").nth(1)).to_have_text(STORES[0])


def look_at_one(tab: Tab, images: ImageServer) -> None:
    """Open an image, which only then is asked for by the browser, and without a referrer."""
    before = len(images.requests_of("/2.jpg"))
    tab.table("Table of images").first.get_by_role("button", name="2.jpg").click()
    expect(tab.page.locator(".preview.shown img")).to_be_visible()
    assert len(images.requests_of("/2.jpg")) == before + 1
    assert "referer" not in images.requests_of("/2.jpg")[-1].headers
    tab.page.keyboard.press("Escape")
    expect(tab.page.locator(".preview")).to_have_count(0)


def download_everything(tab: Tab, rows: list[list[str]]) -> None:
    everything, failed = table(tab.download("All images")), table(tab.download("Failed images"))
    assert [row["url"] for row in everything] == [url for _, _, url in rows]
    assert [row["error_code"] for row in failed] == ["http_status", "http_status", "not_an_image", "unknown_store"]
    correct = table(tab.download("Rows to correct"))
    assert [[row[name] for name in HEADER] for row in correct] == [rows[number] for number in (10, 20, 30, 40)]
    assert correct[0]["problem"].startswith("http_status: ")


def retry(tab: Tab) -> None:
    tab.page.get_by_role("button", name="Retry failed images").click()
    expect(tab.page.locator(".facts div", has_text="Run").locator("dd")).to_have_text("2")
    tab.wait_for_end("Failed")
    expect(tab.page.locator(".reason")).to_have_count(2)


def read_the_report(tab: Tab) -> None:
    """Read the visits of one store whose images are all measured: all of its 250 visits but two."""
    page = tab.page
    page.get_by_role("link", name="Reports").click()
    page.get_by_label("Store", exact=True).fill(STORES[0])
    expect(page.get_by_role("heading", name="248 visits of 1 store")).to_be_visible()
    expect(page.locator(".chart canvas")).to_be_visible()
    with page.expect_download() as found:
        page.get_by_role("button", name="Download CSV").click()
    measured = table(text_of(found.value))
    assert {(row["store_id"], row["perimeter"]) for row in measured} == {(STORES[0], "420")}
    assert len(measured) == 248
