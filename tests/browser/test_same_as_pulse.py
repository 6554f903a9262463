"""A file is one job, whether the console or `pulse` submits it, and under whichever name."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from local.client import ApiClient
from local.images.server import ImageServer
from pulse import sending
from pulse.client import Client
from pulse.csv_file import read_csv
from pulse.parts import split
from pulse.records import Record
from pulse.sending import Sender, SentJob
from pulse.visits import Visit, VisitsFile
from retail_pulse.domain.api_keys import KeyScope
from tests.browser.console import Tab, lines

pytestmark = pytest.mark.browser

TIME = "2026-11-23T10:00:00Z"
# What JSON escapes in one language or another, and characters of two, three and four bytes.
ODD = 'a"b\\c/d\x00\x01\b\f\n\r\t\x1f\x7f\x80ü\u2028\u2029\ufeff\uffff📷</script>'
NAMES = ["a.csv", 'ü"\\\x01📷.csv' * 20, ""]
GIVEN: list[dict[str, str]] = [
    {},
    {"team": ODD, "file": "given.csv"},
    {"submission": "given", "part": "", "__proto__": "x"},
    {f"key {number}": "x" for number in range(15)},
    {f"key {number}": "x" for number in range(16)},
]
# The arguments are JSON, as a file is: Playwright loses a name such as __proto__.
PARTS = """async (text) => {
  const { visits: rows, metadata, name, content, limits } = JSON.parse(text);
  const { bodyOf, keyOf, metadataOf, nameOf, partsOf, seriesOf } =
    await import(new URL("./parts.js", document.querySelector("script[type=module]").src));
  const visits = rows.map(([store_id, visit_time, image_url]) => ({ store_id, image_url, visit_time }));
  const series = await seriesOf(new TextEncoder().encode(content));
  const parts = await partsOf({ visits, metadata }, series, limits);
  return parts.map((part, index) => {
    const key = keyOf(series, index + 1);
    const title = parts.length > 1 ? `${index + 1} of ${parts.length}` : "";
    return [key, bodyOf(part, metadataOf(metadata, nameOf(name), title, key))];
  });
}"""
SERIES = """async () => {
  const { seriesOf } = await import(new URL("./parts.js", document.querySelector("script[type=module]").src));
  return [await seriesOf(new Uint8Array(3)), await seriesOf(new Uint8Array(3))];
}"""


@pytest.fixture
def content(images: ImageServer, picture: bytes) -> str:
    return lines(("S00339218", TIME, images.add("/1.jpg", picture)), ("S01408764", TIME, images.add("/2.jpg", picture)))


@pytest.fixture
def pulse(client: ApiClient, tmp_path: Path) -> Callable[[str, str], SentJob]:
    """A function that submits a file's content under a name, as `pulse` does on a machine without any record."""

    def submit(name: str, content: str) -> SentJob:
        folder = tmp_path / f"records of {name}"
        record = Record.load(folder, client.digest, content.encode(), name, again=False)
        (job,) = Sender(client, record).send(read_csv(content.encode()))
        return job

    return submit


def sent_job(tab: Tab, name: str, content: str) -> str:
    """Submit a file that was submitted before, and return the id that the page names."""
    tab.choose(name, content)
    tab.page.get_by_role("button", name="Submit ").click()
    expect(tab.page.get_by_role("main")).to_contain_text("This file was submitted before, within the last day")
    job: str = tab.page.locator(".sent a").inner_text().removeprefix("Job ")
    tab.page.get_by_role("button", name="Submit another file").click()
    return job


def test_a_file_that_pulse_has_submitted_makes_no_second_job(
    tab: Tab, client: ApiClient, content: str, pulse: Callable[[str, str], SentJob]
) -> None:
    first = pulse("week 48.csv", content)
    tab.start("new")

    found = [sent_job(tab, name, content) for name in ("week 48.csv", "week 48 (1).csv")]

    assert found == [first.job_id] * 2
    assert len(client.read("/api/jobs")["jobs"]) == 1


def test_a_file_that_the_console_has_submitted_makes_no_second_job(
    tab: Tab, client: ApiClient, content: str, pulse: Callable[[str, str], SentJob]
) -> None:
    tab.start("new")
    tab.choose("week 48.csv", content)
    first = str(tab.submit())

    found = [pulse(name, content) for name in ("week 48.csv", "week 48 (1).csv")]

    assert [(job.job_id, job.is_new) for job in found] == [(first, False)] * 2
    # Pasted rows have another name, too; a text area has no carriage returns.
    unix = pulse("unix.csv", content.replace("\r\n", "\n"))
    tab.go("new")
    tab.page.get_by_label("Or paste rows").fill(content.replace("\r\n", "\n"))
    tab.page.get_by_role("button", name="Check the pasted rows").click()
    tab.page.get_by_role("button", name="Submit ").click()
    expect(tab.page.locator(".sent a")).to_have_text(f"Job {unix.job_id}")
    assert len(client.read("/api/jobs")["jobs"]) == 2


def test_a_job_under_another_name_that_cannot_be_found_is_said_and_the_file_can_be_submitted_again(
    tab: Tab, client: ApiClient, content: str, pulse: Callable[[str, str], SentJob]
) -> None:
    pulse("week 48.csv", content)
    tab.page.route("**/api/jobs?*", lambda route: route.fulfill(json={"jobs": [], "next_cursor": None}))
    tab.start("new")
    tab.choose("other.csv", content)
    tab.page.get_by_role("button", name="Submit ").click()
    alert = tab.page.get_by_role("alert")
    expect(alert).to_contain_text("Nothing was submitted. This file was submitted within the last day")

    tab.page.unroute("**/api/jobs?*")
    tab.page.get_by_role("button", name="Submit it again as new jobs").click()
    expect(tab.title).to_have_text("other.csv")

    ours, theirs = client.read("/api/jobs")["jobs"]
    assert ours["metadata"]["submission"].startswith(theirs["metadata"]["submission"].removesuffix("1"))
    assert ours["metadata"]["submission"] != theirs["metadata"]["submission"]


def test_a_key_that_may_not_read_is_told_that_the_file_was_submitted(
    tab: Tab, content: str, issue: Callable[..., str], tmp_path: Path
) -> None:
    key = issue("only-submits", KeyScope.SUBMIT)
    with Client(tab.url, key) as client:
        record = Record.load(tmp_path, client.digest, content.encode(), "week 48.csv", again=False)
        list(Sender(client, record).send(read_csv(content.encode())))
    tab.start("new", key)

    tab.choose("other.csv", content)
    tab.page.get_by_role("button", name="Submit ").click()

    expect(tab.page.get_by_role("alert")).to_contain_text("This key may not read which job it is.")
    assert not [path for path in tab.log.paths() if path.startswith("/api/jobs")]


class Sent:
    """Keeps what a `Sender` submits, in place of a service."""

    def __init__(self) -> None:
        self.parts: list[list[str]] = []

    def submit_body(self, body: bytes, key: str) -> Any:
        self.parts.append([key, body.decode()])
        return type("Submitted", (), {"job_id": str(len(self.parts)), "is_replay": False})


def visits() -> list[Visit]:
    """Return visits of all kinds of texts and of many sizes: one has more images, and one more bytes, than a part."""
    urls = [f"http://h/{number}{ODD * (number % 3)}" for number in range(60)]
    sizes = [1, 3, 49, 50, 51, 2, 120, *range(1, 40)]
    found = [
        Visit(f"S{number}{ODD}", TIME, [urls[each % 60] for each in range(size)]) for number, size in enumerate(sizes)
    ]
    return [*found, Visit("L", TIME, ["http://h/" + "ü" * 450] * 12)]


@pytest.fixture
def compare(tab: Tab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """A function that asserts that the console submits what `pulse` submits, and returns the number of parts."""
    tab.open()

    def same(found: list[Visit], max_bytes: int, name: str = "a.csv", given: dict[str, str] | None = None) -> int:
        limits: dict[str, int] = {"max_images": 50, "max_bytes": max_bytes}
        monkeypatch.setattr(sending, "split", lambda visits, **rest: split(visits, **limits, **rest))
        content, sent = f"{name}{given}{max_bytes}", Sent()
        record = Record.load(tmp_path, "", content.encode(), name, again=False)
        pulse: Any = sent
        list(Sender(pulse, record).send(VisitsFile(found, given or {})))

        console = {"limits": {"maxImages": 50, "maxBytes": max_bytes}, "name": name, "content": content}
        parts = tab.page.evaluate(PARTS, json.dumps({"visits": found, "metadata": given or {}, **console}))

        assert parts[0][0] == f"pulse-{hashlib.sha256(content.encode()).hexdigest()[:40]}-1"
        assert parts == sent.parts
        return len(parts)

    return same


@pytest.mark.parametrize("max_bytes", [6_000, 20_000, 5_000_000])
def test_the_parts_of_a_large_file_have_the_same_keys_and_bytes(compare: Callable[..., int], max_bytes: int) -> None:
    for name in NAMES:
        for given in GIVEN:
            assert compare(visits(), max_bytes, name, given) > 10


def test_visits_of_any_size_are_split_at_the_same_places(compare: Callable[..., int]) -> None:
    found = [Visit("S", TIME, ["http://h/", "http://h/" + "a" * length]) for length in range(800)]

    parts = compare(found, 1_500)

    # The longest ones are split themselves.
    assert parts > len(found) / 2


def test_without_a_secure_context_each_submission_is_another_one(tab: Tab) -> None:
    tab.page.add_init_script('Object.defineProperty(crypto, "subtle", { value: undefined })')
    tab.open()

    first, second = tab.page.evaluate(SERIES)

    assert first != second
    assert len(first) == len(second) == len("pulse-") + 40
