"""What responses tell browsers and caches, and what the page of the description may do."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from local.lambda_host.context import Context
from local.lambda_host.events import api_event, event
from tests.functions.service import Service


class _Inline(HTMLParser):
    """Collects what a Content-Security-Policy has to allow in a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: dict[str, list[str]] = {"script": [], "style": []}
        self.attributes: set[str] = set()
        self._inside: str | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes |= {name for name, _ in attrs}
        self._inside = tag if tag in self.texts else None

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.texts[self._inside].append(data)

    def handle_endtag(self, tag: str) -> None:
        self._inside = None


def test_the_page_runs_only_its_own_scripts_and_no_other_page_may_frame_it(service: Service) -> None:
    page = service.load("status").handler(event("status") | {"rawPath": "/docs"}, Context())
    policy = dict(part.strip().split(" ", 1) for part in page["headers"]["Content-Security-Policy"].split(";"))

    # As a browser computes it, from the text between the tags; it would replace CR before.
    assert "\r" not in page["body"]
    inline = _Inline(page["body"])
    hashes = {
        tag: " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in texts)
        for tag, texts in inline.texts.items()
    }
    assert (policy.pop("script-src"), policy.pop("style-src")) == (hashes["script"], hashes["style"])
    assert [len(texts) for texts in inline.texts.values()] == [2, 1]
    # Scripts and styles of other hosts and in attributes are not allowed, so there must be none.
    assert inline.attributes <= {"charset", "content", "href", "id", "lang", "name", "rel"}
    assert policy == {
        "default-src": "'none'",
        "img-src": "data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }


def test_the_page_forgets_a_key_when_it_is_left(service: Service) -> None:
    page = service.load("status").handler(event("status") | {"rawPath": "/docs"}, Context())
    assert re.findall(r"\bpersistAuthorization: (\w+)", page["body"]) == ["false"]


def test_the_page_is_readable_on_a_phone_has_an_icon_and_its_link_leads_to_the_description(service: Service) -> None:
    status = service.load("status")
    page = status.handler(event("status") | {"rawPath": "/docs"}, Context())["body"]
    assert '<meta name="viewport" content="width=device-width,initial-scale=1">' in page
    assert re.findall(r'<link rel="icon" href="(data:image/svg\+xml,[^"]+)">', page)
    (linked,) = re.findall(r'\bspecActions\.updateUrl\("([^"]+)"\)', page)
    found = status.handler(event("status") | {"rawPath": linked}, Context())
    assert (found["statusCode"], json.loads(found["body"])["openapi"]) == (200, "3.1.0")


def test_the_page_of_codes_has_no_script_and_only_its_own_style(service: Service) -> None:
    page = service.load("status").handler(api_event("GET", "/docs/errors"), Context())
    inline = _Inline(page["body"])
    (style,) = inline.texts["style"]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert inline.texts["script"] == []
    assert (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:;" in page["headers"]["Content-Security-Policy"]
    )


@pytest.mark.parametrize(
    ("function", "method", "path"),
    [
        ("status", "GET", "/api/status"), ("status", "GET", "/api/jobs/1"), ("status", "GET", "/api/jobs/1/results"),
        ("status", "GET", "/api/health"), ("status", "GET", "/api/nothing"), ("status", "GET", "/openapi.json"),
        ("status", "GET", "/docs"), ("status", "GET", "/docs/errors"),
        ("submit", "POST", "/api/submit"),
        ("submit", "POST", "/api/jobs/1/retry"),
        ("submit", "POST", "/api/nothing"),
    ],
)  # fmt: skip
def test_no_response_is_kept_by_a_cache_or_taken_for_another_type(
    service: Service, function: str, method: str, path: str
) -> None:
    headers = service.load(function).handler(api_event(method, path), Context())["headers"]

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Vary"] == "Accept, Accept-Encoding"
    # Only these are the same for every client.
    public = path in {"/docs", "/docs/errors", "/openapi.json"}
    assert headers["Cache-Control"] == ("public, max-age=3600" if public else "no-store")
