"""``python -m tests.browser.demo_picture``: take the picture of what `make demo` prints, for the README."""

import io
import os
import subprocess
import sys
from typing import Final

from PIL import Image
from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME
from rich.text import Text

from local.checkout import PYTHON_PATH, ROOT
from tests.browser import chromium
from tests.browser.screenshots import FOLDER, reduced

_COLUMNS: Final = 118
_PAGE: Final = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; padding: 20px 24px; width: max-content; background: {background}; color: {foreground}; }}
pre {{ margin: 0; font: 13px/1.35 "DejaVu Sans Mono", monospace; }}
</style><pre>{code}</pre>"""


def output() -> str:
    """Return what the demo prints into a terminal with colours that shows no progress."""
    # https://rich.readthedocs.io/en/stable/console.html#terminal-detection
    terminal = {"TTY_COMPATIBLE": "1", "TTY_INTERACTIVE": "0", "COLUMNS": str(_COLUMNS), "TERM": "xterm-256color"}
    command = [sys.executable, "-m", "local.demo"]
    environment = os.environ | terminal | {"PYTHONPATH": PYTHON_PATH}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return f"$ make demo\n{done.stdout}"


def page_of(ansi: str) -> str:
    """Return a page that shows the text of a terminal."""
    console = Console(record=True, width=_COLUMNS, file=io.StringIO())
    console.print(Text.from_ansi(ansi), no_wrap=True)
    return console.export_html(theme=SVG_EXPORT_THEME, code_format=_PAGE, inline_styles=True)


def main() -> None:
    """Run the demo and write the picture."""
    program = chromium.find()
    if program is None:
        sys.exit(chromium.MISSING)
    shown = page_of(output())
    with chromium.launched(program) as browser:
        page = browser.new_page(device_scale_factor=1.5, viewport={"width": 1000, "height": 400})
        page.set_content(shown)
        content = page.locator("body").screenshot()
    reduced(Image.open(io.BytesIO(content)).convert("RGB")).save(FOLDER / "demo.png", optimize=True)


if __name__ == "__main__":
    main()
