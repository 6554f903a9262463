"""What clients read when an image fails: what is wrong, and which rule."""

import gzip

import pytest

from retail_pulse.domain.failures import FailureCode
from retail_pulse.domain.hosts import Hosts
from retail_pulse.measuring.download.policy import CallPolicy
from retail_pulse.measuring.fetch import Fetcher, FetchLimits
from tests.measuring.cases import Case
from tests.measuring.corpus import WIDTH, saved
from tests.measuring.network import SimulatedNetwork
from tests.measuring.quirks import gif, gif_picture

FETCHER = Fetcher(FetchLimits(5, 5, 60, 1_000_000, WIDTH, 5), CallPolicy(), Hosts(100))
OK = b"HTTP/1.1 200 OK\r\n"
GZIP = b"Content-Encoding: gzip\r\n"
TOO_LARGE = "the image is larger than 1,000,000 bytes"


def answer(body: bytes, headers: bytes = b"") -> bytes:
    return OK + headers + b"Content-Length: %d\r\n\r\n" % len(body) + body


MESSAGES = {
    "http_status": (b"HTTP/1.1 404 Not Found\r\n\r\n", "ok.test returned status 404"),
    "invalid_url": (b"HTTP/1.1 302 Found\r\nLocation: http://[::1/\r\n\r\n", "ok.test redirects to an invalid URL"),
    "connect_failed": (b"SSH-2.0-OpenSSH_9.6\r\n", "the response from ok.test is not valid HTTP"),
    "connect_failed, gzip": (answer(b"garbage", GZIP), "Content-Encoding is gzip, but the body is not valid gzip"),
    "unsupported_format": (answer(b"", b"Content-Encoding: br\r\n"), "Content-Encoding br is not supported"),
    "unsupported_format, bytes": (answer(b"%PDF-1.7" + bytes(60)), "PDF is not supported"),
    "unsupported_format, header":
        (answer(b"8BPS" + bytes(60)), "the header of the PSD is invalid or of an unknown kind"),
    "too_large, announced": (OK + b"Content-Length: 1000001\r\n\r\n", TOO_LARGE),
    "too_large, body": (OK + b"\r\n" + saved("PNG") + bytes(1_000_000), TOO_LARGE),
    "too_large, inflated": (answer(gzip.compress(saved("JPEG") + bytes(2_000_000)), GZIP), TOO_LARGE),
    "too_large, pixels":
        (answer(gif((1_000, 5), gif_picture(0, 0, 1, 1))), "the image has 1,000 x 5 pixels; the limit is 61 per side"),
    "too_large, headers":
        (OK + b"X: " + b"x" * 65_000 + b"\r\nX: " + b"x" * 999, "the response headers are larger than 65,536 bytes"),
    "truncated, headers": (OK + b"X: x\r\n" * 101, "ok.test closed the connection early"),
    "truncated, connection": (OK + b"Content-Length: 9\r\n\r\nGIF", "ok.test closed the connection early"),
    "truncated": (answer(saved("JPEG")[:1234]), "the JPEG is incomplete: it ends after 1,234 bytes"),
    "not_an_image": (answer(b"<!doctype html>"), "not a recognized image format"),
    "not_an_image, empty": (answer(b""), "the file is empty"),
    "not_an_image, size":
        (answer(gif((0, 5), gif_picture(0, 0, 0, 1)) + b";"), "the GIF has an invalid size: 0 x 5 pixels"),
    "not_an_image, no picture": (answer(gif((5, 5)) + b";"), "the GIF does not contain an image with a size"),
    "not_an_image, no pixels":
        (answer(saved("PNG")[:33] + saved("PNG")[-12:]), "the PNG has no IDAT chunk before its end"),
    "unsupported_format, SVG": (answer(b"\xef\xbb\xbf<?xml version='1.0'?>\n<svg/>"), "SVG is not supported"),
    "unsupported_format, raw photo": (answer(b"IIRO\x08\0\0\0" + bytes(90)), "ORF is not supported"),
}  # fmt: skip


@pytest.mark.parametrize("name", MESSAGES)
def test_a_failed_image_says_what_is_wrong(name: str) -> None:
    sent, message = MESSAGES[name]
    error = SimulatedNetwork(Case("", "", "http://ok.test/a.png?token=secret"), sent).failure(FETCHER)
    assert error is not None
    assert (error.code, error.message) == (FailureCode(name.partition(",")[0]), message)
