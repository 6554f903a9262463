"""GET / and /console/…: serves the console, static files that call the API from the browser.

It needs no key, reads nothing but its own files, and imports little, so that a cold start is short.
"""

import base64
import gzip
import hashlib
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

from retail_pulse.api.negotiation import accepts_gzip

_STATIC = Path(__file__).parent / "static"
_INDEX = "index.html"
# What is served: the manifest of vendored files, for example, is not.
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
# In the index, where the addresses of its files begin. They contain the version, so browsers keep the files for good.
_PREFIX_MARK = "{{files}}"
# Previews are the only content from other hosts, and the page asks for them only when its user does.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' https: http:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SECURITY = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_ALWAYS = {"Cache-Control": "public, max-age=31536000, immutable"}
_CHECKED = {"Cache-Control": "no-cache"}
_NOT_FOUND = {"Cache-Control": "no-store", "Content-Type": "text/plain; charset=utf-8"}


class File(NamedTuple):
    """A file as it is served: its type, its content, and how long browsers keep it."""

    content_type: str
    content: bytes
    caching: dict[str, str]


def _read() -> dict[str, bytes]:
    files = sorted(path for path in _STATIC.rglob("*") if path.suffix in _TYPES)
    return {path.relative_to(_STATIC).as_posix(): path.read_bytes() for path in files}


def _served() -> dict[str, File]:
    """Return all files by their path; nothing outside this dictionary is ever read for a request."""
    contents = _read()
    version = hashlib.sha256(repr(sorted(contents.items())).encode()).hexdigest()[:16]
    prefix = f"/console/{version}/"
    index = contents.pop(_INDEX).decode().replace(_PREFIX_MARK, prefix).encode()
    files = {prefix + name: File(_TYPES[Path(name).suffix], content, _ALWAYS) for name, content in contents.items()}
    return files | {"/": File(_TYPES[".html"], index, _CHECKED)}


FILES = _served()


@cache
def _encoded(path: str, compress: bool) -> tuple[str, str]:
    """Return a file's strong ETag and its body in Base64; each of its two forms has an ETag of its own."""
    content = FILES[path].content
    tag = hashlib.sha256(content).hexdigest()[:32]
    if compress:
        # A fixed time: the same file has the same bytes in every environment, as its strong ETag promises.
        content, tag = gzip.compress(content, compresslevel=9, mtime=0), f"{tag}-gzip"
    return f'"{tag}"', base64.b64encode(content).decode("ascii")


def _matches(if_none_match: str, tag: str) -> bool:
    """Return whether an If-None-Match header names a tag; the comparison is weak (RFC 9110, section 13.1.2)."""
    tags = {each.strip().removeprefix("W/") for each in if_none_match.split(",")}
    return tag in tags or "*" in tags


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Return the file of a path, 304 if the browser has it, or 404."""
    path = event["rawPath"]
    file = FILES.get(path)
    if file is None:
        headers = _SECURITY | _NOT_FOUND
        return {"statusCode": HTTPStatus.NOT_FOUND.value, "headers": headers, "body": "no such file\n"}
    sent = event.get("headers", {})
    compress = accepts_gzip(sent.get("accept-encoding", ""))
    tag, body = _encoded(path, compress)
    headers = _SECURITY | file.caching | {"ETag": tag, "Vary": "Accept-Encoding"}
    if _matches(sent.get("if-none-match", ""), tag):
        return {"statusCode": HTTPStatus.NOT_MODIFIED.value, "headers": headers, "body": ""}
    headers |= {"Content-Type": file.content_type} | ({"Content-Encoding": "gzip"} if compress else {})
    return {"statusCode": HTTPStatus.OK.value, "headers": headers, "body": body, "isBase64Encoded": True}
