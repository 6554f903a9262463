"""What a client accepts: CSV in place of JSON, and gzip."""

import base64
import re
import zlib
from typing import Any

# A shorter body would hardly be smaller, since Base64 adds a third.
GZIP_MIN_BYTES = 1024
# Level 9 takes twice the time, for pages of results that are a fiftieth shorter.
_GZIP_LEVEL = 6
_GZIP_WINDOW = zlib.MAX_WBITS | 16
# RFC 9110, section 12.4.2.
_WEIGHT = re.compile(r"\s*q\s*=\s*(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\s*", re.IGNORECASE)


def _weights(header: str) -> dict[str, float]:
    """Return the weight of each member of a header such as Accept, in lower case; a weight that is invalid is 1."""
    found = {}
    for member in header.split(","):
        name, *parameters = member.split(";")
        weights = [float(match[1]) for parameter in parameters if (match := _WEIGHT.fullmatch(parameter))]
        found[name.strip().lower()] = weights[0] if weights else 1.0
    return found


def prefers_csv(accept: str) -> bool:
    """Return whether an Accept header asks for CSV rather than for JSON."""
    weights = _weights(accept)
    csv = weights.get("text/csv", 0.0)
    json = max(weights.get(kind, 0.0) for kind in ("application/json", "application/*"))
    return csv > json


def accepts_gzip(accept_encoding: str) -> bool:
    """Return whether an Accept-Encoding header allows gzip."""
    weights = _weights(accept_encoding)
    return weights.get("gzip", weights.get("*", 0.0)) > 0


def gzipped(answer: dict[str, Any], accept_encoding: str) -> dict[str, Any]:
    """Return a response of a function with its body compressed, if its client accepts that and it gets shorter.

    The body gets shorter in Base64, as Lambda passes it on, so compression never exceeds Lambda's limit.
    """
    if answer["isBase64Encoded"] or not accepts_gzip(accept_encoding):
        return answer
    plain = answer["body"].encode()
    if len(plain) <= GZIP_MIN_BYTES:
        return answer
    compressor = zlib.compressobj(_GZIP_LEVEL, wbits=_GZIP_WINDOW)
    body = base64.b64encode(compressor.compress(plain) + compressor.flush())
    if len(body) >= len(plain):
        return answer
    headers = answer["headers"] | {"Content-Encoding": "gzip"}
    return answer | {"headers": headers, "body": body.decode("ascii"), "isBase64Encoded": True}
