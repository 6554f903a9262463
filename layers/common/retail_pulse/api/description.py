"""The API's description: the file that `make openapi` writes, and a page that shows it."""

import base64
import hashlib
import re
from functools import cache
from pathlib import Path

# A link in the checkout, a file in the built layer.
_FILE = Path(__file__).with_name("openapi.json")
# A square within a frame; in the page, so that browsers do not ask for another file.
_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'%3E"
    "%3Cpath fill='none' stroke='%23069' d='M.5.5h7v7h-7z'/%3E%3Cpath fill='%23069' d='M2 2h4v4H2z'/%3E%3C/svg%3E"
)
# The link at the top leads to the description. A key that is entered is forgotten when the page is left.
_START = """
const ui = SwaggerUIBundle({
  dom_id: "#swagger-ui",
  spec: SPEC,
  presets: [SwaggerUIBundle.presets.apis],
  plugins: [SwaggerUIBundle.plugins.DownloadUrl],
  deepLinking: true,
  persistAuthorization: false
});
ui.specActions.updateUrl("/openapi.json");
"""
_INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


@cache
def openapi() -> str:
    """Return the OpenAPI description as JSON."""
    return _FILE.read_text(encoding="utf-8")


@cache
def page() -> str:
    """Return a Swagger UI page with the description in it; the page loads nothing from other hosts."""
    # Two megabytes that only this page needs.
    from aws_lambda_powertools.event_handler.openapi import swagger_ui

    bundle = Path(swagger_ui.__file__).parent
    script = (bundle / "swagger-ui-bundle.min.js").read_text(encoding="utf-8")
    style = (bundle / "swagger-ui.min.css").read_text(encoding="utf-8")
    spec = openapi().replace("</", "<\\/")
    scripts = f"<script>{script}</script><script>{_START.replace('SPEC', spec)}</script>"
    beginning = head("Retail Pulse API", f"body{{margin:0}}{style}")
    return f'{beginning}<body><div id="swagger-ui"></div>{scripts}</body></html>'


def head(title: str, style: str) -> str:
    """Return the beginning of a page, up to its body: readable on a phone, and with an icon."""
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<link rel="icon" href="{_ICON}"><style>{style}</style></head>'
    )


@cache
def page_policy() -> str:
    """Return the page's Content-Security-Policy: only its own scripts and styles, only requests to this API, no frames.

    The scripts and styles are inline, and named by their hashes; Swagger UI's icons are ``data:`` URLs.
    """
    hashes: dict[str, list[str]] = {"script": [], "style": []}
    for kind, text in _INLINE.findall(page()):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        hashes[kind].append(f"'sha256-{digest}'")
    return (
        f"default-src 'none'; script-src {' '.join(hashes['script'])}; style-src {' '.join(hashes['style'])}; "
        "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
