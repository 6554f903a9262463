"""The codings of a response, which are lists: of its content (gzip and others) and of its transfer (chunks)."""

from collections.abc import Mapping

from retail_pulse.domain.failures import FailureCode, MeasuringError

# What is not undone, of IANA's registry of HTTP parameters, read in November 2026:
# https://www.iana.org/assignments/http-parameters. Servers also send names that no one has registered, such as
# `utf-8`, `binary` or `base64`, for content that is not coded at all.
_CONTENT_CODINGS = frozenset(
    {"aes128gcm", "br", "compress", "dcb", "dcz", "deflate", "exi", "pack200-gzip", "x-compress", "zstd"}
)
_TRANSFER_CODINGS = frozenset({"compress", "deflate", "gzip", "x-compress", "x-gzip"})
_GZIP = frozenset({"gzip", "x-gzip"})


def members(value: str) -> list[str]:
    """Return the members of a field that is a list, in lower case; empty ones are left out."""
    return [member for part in value.split(",") if (member := part.strip(" \t").lower())]


def is_gzip(fields: Mapping[str, str]) -> bool:
    """Return whether the content is compressed with gzip, which some servers do without being asked.

    Raises
    ------
    MeasuringError
        `unsupported_format`: the content has another coding, or several layers of gzip, each of which would multiply
        its size.
    """
    codings = members(fields.get("content-encoding", ""))
    layers = [coding for coding in codings if coding in _GZIP]
    other = next((coding for coding in codings if coding in _CONTENT_CODINGS), None)
    if len(layers) > 1:
        other = ", ".join(layers)
    if other is not None:
        raise MeasuringError(FailureCode.UNSUPPORTED_FORMAT, f"Content-Encoding {other[:40]} is not supported")
    return bool(layers)


def is_chunked(fields: Mapping[str, str]) -> bool:
    """Return whether the body is sent in chunks.

    Raises
    ------
    MeasuringError
        `unsupported_format`: the body has another coding, which no server may send unasked.
    """
    codings = members(fields.get("transfer-encoding", ""))
    for coding in codings:
        if coding in _TRANSFER_CODINGS:
            raise MeasuringError(FailureCode.UNSUPPORTED_FORMAT, f"Transfer-Encoding {coding} is not supported")
    return "chunked" in codings
