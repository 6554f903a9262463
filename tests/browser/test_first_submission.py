"""The whole way of a field manager with a spreadsheet of 500 visits and seven mistakes."""

import csv
import io
import re

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
    page = tab.page

    # WHEN a mistyped key is entered, THEN the form says so, and the right one is accepted
    tab.open()
    tab.sign_in("mistyped")
    expect(page.get_by_role("alert")).to_contain_text("not valid")
    tab.sign_in()
    expect(tab.title).to_have_text("Jobs")
    expect(page.get_by_role("heading", name="No jobs yet")).to_be_visible()

    # WHEN the file with mistakes is chosen, THEN each is shown with its row, and nothing was sent
    page.get_by_role("navigation").get_by_role("link", name="New submission").click()
    tab.choose("visits-week-48.csv", lines(*with_mistakes(rows)))
    expect(page.get_by_role("heading", name="7 problems")).to_be_visible()
    assert [(int(row), column) for row, column, *_ in tab.cells("Problems")] == [
        (row, column) for row, (column, _) in MISTAKES.items()
    ]
    submit = page.get_by_role("button", name="Submit ")
    expect(submit).to_have_attribute("aria-disabled", "true")
    expect(submit).to_have_accessible_description("Correct the problems first, or leave out their rows.")
    with page.expect_download() as found:
        page.get_by_role("button", name="Download the problems").click()
    problems = table(text_of(found.value))
    assert [(int(each["row"]), each["column"]) for each in problems] == [(row, c) for row, (c, _) in MISTAKES.items()]
    assert all(each["problem"] and each["how_to_fix"] for each in problems)
    assert "/api/submit" not in tab.log.paths()

    # WHEN the corrected file is chosen and submitted, THEN its job is shown until it has ended
    page.get_by_role("button", name="Choose another file").click()
    tab.choose("visits-week-48.csv", lines(*rows))
    expect(page.get_by_role("button", name=f"Submit {VISITS} images")).not_to_have_attribute("aria-disabled", "true")
    tab.submit()
    expect(tab.title).to_have_text("visits-week-48.csv")
    tab.wait_for_end("Failed")

    # THEN it says what failed, by reason, and what to do
    reasons = page.locator(".reason")
    expect(reasons).to_have_count(3)
    assert [re.split(r" in ", each)[0] for each in reasons.locator("p.soft").all_inner_texts()] == [
        "2 images",
        "1 image",
        "1 image",
    ]
    expect(reasons.first.locator("h3")).to_have_text(
        "The server answered 404: the photo is not at this address. http_status"
    )
    expect(reasons.filter(has_text="unknown_store")).to_contain_text("The store is not in the list of known stores.")
    expect(reasons.filter(has_text="not_an_image")).to_contain_text("often it shows a login or an error page")

    # WHEN the images are filtered by outcome and store, THEN the table and the address bar agree
    page.get_by_role("list", name="Outcome").get_by_role("link", name="Failed").click()
    expect(tab.table("Images")).to_have_count(4)
    page.get_by_label("Store", exact=True).fill("S99999999")
    expect(tab.table("Images")).to_have_count(1)
    assert page.url.endswith("?outcome=failed&store=S99999999")
    page.get_by_label("Store", exact=True).fill("")
    page.get_by_role("list", name="Outcome").get_by_role("link", name="Measured").click()

    # WHEN an image is clicked, THEN it is loaded from its server, without a referrer
    expect(tab.table("Images").first.locator("td").nth(1)).to_have_text(STORES[0])
    before = len(images.requests_of("/2.jpg"))
    tab.table("Images").first.get_by_role("button", name="2.jpg").click()
    expect(page.locator(".preview.shown img")).to_be_visible()
    assert len(images.requests_of("/2.jpg")) == before + 1
    assert "referer" not in images.requests_of("/2.jpg")[-1].headers
    page.keyboard.press("Escape")
    expect(page.locator(".preview")).to_have_count(0)

    # WHEN all images, the failed ones and the rows to correct are downloaded, THEN they are whole
    everything, failed = table(tab.download("All images")), table(tab.download("Failed images"))
    assert [row["url"] for row in everything] == [url for _, _, url in rows]
    assert [row["error_code"] for row in failed] == ["http_status", "http_status", "not_an_image", "unknown_store"]
    correct = table(tab.download("Rows to correct"))
    assert [[row[name] for name in HEADER] for row in correct] == [rows[number] for number in (10, 20, 30, 40)]
    assert correct[0]["problem"].startswith("http_status: ")

    # WHEN the missing photos are there again and the job is retried, THEN they are measured
    images.add(MISSING, picture)
    page.get_by_role("button", name="Retry failed images").click()
    expect(page.locator(".facts div", has_text="Run").locator("dd")).to_have_text("2")
    tab.wait_for_end("Failed")
    expect(reasons).to_have_count(2)

    # WHEN the reports are opened, THEN they have a chart, the visits that are measured whole, and a file of them
    page.get_by_role("link", name="Reports").click()
    expect(page.locator(".chart canvas")).to_be_visible()
    expect(page.get_by_role("heading", name=f"{VISITS - 2} visits")).to_be_visible()
    with page.expect_download() as found:
        page.get_by_role("button", name="Download CSV").click()
    measured = table(text_of(found.value))
    assert len(measured) == VISITS - 2
    assert {row["perimeter"] for row in measured} == {"420"}
