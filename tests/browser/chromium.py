"""The Chromium that the tests and the screenshots use: one of the machine, since Playwright's own is a download."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from playwright.sync_api import Browser, sync_playwright

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
MISSING: Final = "no Chromium found: `apt-get install chromium`, or name the program in CHROMIUM"


def find() -> str | None:
    """Return the path of the program that CHROMIUM names, else of the first known one."""
    given = os.environ.get("CHROMIUM")
    return next(filter(None, map(shutil.which, [given] if given else _NAMES)), None)


@contextmanager
def launched(program: str) -> Iterator[Browser]:
    """Start the browser without a window, and end it with the block."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program)
        yield browser
        browser.close()
