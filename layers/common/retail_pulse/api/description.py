"""The API's description: the file that `make openapi` writes, and a page that shows it."""

from functools import cache
from pathlib import Path

# A link in the checkout, a file in the built layer.
_FILE = Path(__file__).with_name("openapi.json")


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
        persist_authorization=True,
    )
