"""The API's description: the file that `make openapi` writes, and a page that shows it."""

import base64
import hashlib
import re
from functools import cache
from pathlib import Path

# A link in the checkout, a file in the built layer.
_FILE = Path(__file__).with_name("openapi.json")
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
    return swagger_ui.generate_swagger_html(
        spec=openapi().replace("</", "<\\/"),
        swagger_js=(bundle / "swagger-ui-bundle.min.js").read_text(encoding="utf-8"),
        swagger_css=(bundle / "swagger-ui.min.css").read_text(encoding="utf-8"),
        swagger_base_url="",
        oauth2_config=None,
        # A key that is entered is forgotten when the page is left, not kept in the browser's storage.
        persist_authorization=False,
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
