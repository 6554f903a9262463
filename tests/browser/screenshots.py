"""``python -m tests.browser.screenshots``: take the pictures of docs/console.md, in both themes and at two widths."""

import itertools
import sys
import tempfile
import threading
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from PIL import Image
from playwright.sync_api import Page, expect

from local.checkout import ROOT
from local.client import ApiClient
from local.images.pictures import Format, make_album, make_image
from local.images.server import ImageServer, held
from local.stack.process import StackProcess
from tests.browser import chromium
from tests.browser.console import Log, Tab, context_of, lines
from tests.support.waiting import END_SECONDS

FOLDER: Final = ROOT / "docs" / "screenshots"
# Width, height of the window, and the most of the page that a picture shows.
SIZES: Final = ((1280, 800, 1100), (390, 844, 1250))
_COLOURS: Final = 64
_STORES: Final = ("S01017390", "S01408764", "S01592176")
# Stores of one area, for the report.
_AREA: Final = ("S00323501", "S00575791", "S00766430", "S01529275")
_VISITS: Final = 500
_MISSING: Final = "/photos/gone-{}.jpg"


class Camera:
    """Takes a picture of a page as it is, in each theme and width."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def take(self, name: str, *, whole: bool = True) -> None:
        """Write ``NAME-WIDTH-THEME.png``, with few colours: the page from its top, or only what the window shows."""
        self._page.mouse.move(0, 0)
        expect(self._page.locator(".bone")).to_have_count(0)
        for (width, height, most), theme in itertools.product(SIZES, ("light", "dark")):
            self._page.set_viewport_size({"width": width, "height": height})
            self._page.emulate_media(color_scheme=theme)
            length = self._page.evaluate("document.querySelector('main').getBoundingClientRect().bottom + scrollY")
            clip = {"x": 0, "y": 0, "width": width, "height": min(length, most)} if whole else None
            content = self._page.screenshot(full_page=whole, clip=clip, animations="disabled")
            picture = reduced(Image.open(BytesIO(content)).convert("RGB"))
            picture.save(FOLDER / f"{name}-{width}-{theme}.png", optimize=True)
        self._page.set_viewport_size({"width": SIZES[0][0], "height": SIZES[0][1]})


def reduced(picture: Image.Image) -> Image.Image:
    """Return a picture with few colours: the most frequent ones as they are, and some that are near all others."""
    # Of an RGB picture, a colour is three numbers, which Pillow's type leaves open.
    found: list[tuple[int, Any]] = picture.getcolors(1 << 24) or []
    frequent = sorted(found, reverse=True)[: _COLOURS // 2]
    others = picture.quantize(_COLOURS // 2, Image.Quantize.MAXCOVERAGE).getpalette() or []
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for _, colour in frequent for part in colour] + others)
    return picture.quantize(palette=palette, dither=Image.Dither.NONE)


def photos(images: ImageServer, until: threading.Event) -> list[list[str]]:
    """Return the rows of 500 visits; some photos are missing or held back until an event, and one store is unknown."""
    with tempfile.TemporaryDirectory() as folder:
        samples = [sample for sample in make_album(Path(folder)) if sample.bytes < 500_000]
        contents = [(Path(folder) / sample.name).read_bytes() for sample in samples]
    rows = []
    for number in range(_VISITS):
        name, content = samples[number % len(samples)].name, contents[number % len(samples)]
        path = f"/photos/{number // len(samples) + 1}/{name}"
        url = images.script(path, held(content, until)) if number > _VISITS * 0.6 else images.add(path, content)
        rows.append([_STORES[number % 3], f"2026-11-{number % 28 + 1:02}T{8 + number // 50:02}:30:00Z", url])
    for number in (10, 21, 32):
        rows[number][2] = images.url(_MISSING.format(number))
    rows[40][2] = images.add("/photos/login", b"<!doctype html><title>Sign in</title>")
    rows[50][0] = "S99999999"
    return rows


def with_mistakes(rows: list[list[str]]) -> list[list[str]]:
    """Return the rows with seven mistakes, and a time that deserves a warning."""
    wrong = [list(row) for row in rows]
    wrong[1][0] = wrong[98][1] = wrong[39][2] = ""
    wrong[97][2] = "ftp://photos.example/shelf-97.jpg"
    wrong[248][0] = "Sri Balaji General Store at Station Road next to the railway station"
    wrong[375][2] = "shelf-377.jpg"
    wrong[420][2] = "www.photos.example/shelf-01.jpg"
    wrong[200][1] = "last Tuesday"
    return wrong


def submit_others(client: ApiClient, images: ImageServer) -> None:
    """Submit jobs of twelve weeks before: they are in the list, and their visits in the report."""
    sizes = {}
    for week, store in itertools.product(range(12), range(len(_AREA))):
        width, height = 900 + 240 * store + 12 * ((week * 5 + store * 3) % 7), 700 + 15 * week
        url = images.add(f"/photos/{week}/{store}.jpg", make_image(Format.JPEG, width, height))
        sizes[week, store] = {"store_id": _AREA[store], "visit_time": _monday(week), "image_url": [url]}
    for name, weeks in (("visits-weeks-36-to-46.csv", range(11)), ("visits-week-47.csv", range(11, 12))):
        visits = [visit for (week, _), visit in sizes.items() if week in weeks]
        body = {"count": len(visits), "visits": visits, "metadata": {"file": name}}
        client.wait(client.post("/api/submit", body).json()["job_id"], END_SECONDS)


def _monday(week: int) -> str:
    return f"{datetime(2026, 8, 31, 9, 30, tzinfo=UTC) + timedelta(weeks=week):%Y-%m-%dT%H:%M:%SZ}"


def walk(tab: Tab, camera: Camera, images: ImageServer) -> None:
    """Go the way of docs/console.md, with a picture of each step."""
    page = tab.page
    until = threading.Event()
    rows = photos(images, until)

    tab.open()
    camera.take("1-sign-in")
    tab.sign_in()
    tab.go("new")
    expect(page.get_by_role("heading", name="Choose a file of visits")).to_be_visible()
    camera.take("2-choose")
    tab.choose("visits-week-48.csv", lines(*with_mistakes(rows)))
    expect(page.get_by_role("heading", name="7 problems")).to_be_visible()
    camera.take("3-problems")
    page.get_by_role("button", name="Choose another file").click()
    tab.choose("visits-week-48.csv", lines(*rows))
    expect(page.get_by_role("button", name=f"Submit {_VISITS} images")).to_be_visible()
    camera.take("4-summary")
    job = tab.submit()
    expect(page.locator(".progress-line")).to_contain_text("images per second")
    expect(page.locator(".reason")).to_have_count(3)
    camera.take("5-running")
    until.set()
    tab.wait_for_end("Failed")
    expect(page.locator(".reason")).to_have_count(3)
    tab.go(f"jobs/{job}?outcome=failed")
    expect(tab.table("Table of images")).to_have_count(5)
    camera.take("6-ended")
    tab.go(f"jobs/{job}?outcome=measured")
    page.get_by_role("button", name="offer-01.gif").first.click()
    expect(page.locator(".preview.shown")).to_be_visible()
    camera.take("7-preview", whole=False)
    tab.go("jobs")
    expect(page.locator("table.jobs tbody tr")).to_have_count(3)
    expect(page.locator("table.jobs")).to_contain_text("5 images failed in 5 visits")
    camera.take("8-jobs")
    tab.go("reports?area=7100015&from=2026-08-31&to=2026-11-22")
    expect(page.locator(".chart canvas")).to_be_visible()
    camera.take("9-report")


def main() -> int:
    """Write all pictures; return 1 without a browser."""
    program = chromium.find()
    if program is None:
        print(f"tests.browser.screenshots: {chromium.MISSING}", file=sys.stderr)
        return 1
    FOLDER.mkdir(exist_ok=True)
    with (
        StackProcess() as stack,
        ImageServer() as images,
        ApiClient(stack.url, stack.api_key) as client,
        chromium.launched(program) as browser,
        context_of(browser) as context,
    ):
        submit_others(client, images)
        tab = Tab(context.new_page(), stack.url, stack.api_key, Log(stack.url))
        walk(tab, Camera(tab.page), images)
    pictures = sorted(FOLDER.glob("*.png"))
    size = sum(picture.stat().st_size for picture in pictures)
    print(f"{len(pictures)} pictures in {FOLDER.relative_to(ROOT)}, {size / 1000:,.0f} KB in all")
    return 0


if __name__ == "__main__":
    sys.exit(main())
