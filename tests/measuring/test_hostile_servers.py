"""Hostile servers: every response ends with a published code, in bounded memory, within the deadline."""

import gzip
import http.cookiejar
import io
import logging
import struct
import tracemalloc
import zlib
from collections.abc import Iterator, Sequence

import pytest

from local.images.pictures import Format, make_image
from local.images.server import Action, End, ImageServer, Repeat, in_pieces
from retail_pulse.domain.failures import MeasuringError
from retail_pulse.measuring.fetch import Fetcher
from tests.measuring.hostile_server import ANSWER, HASTY, HEAD, PICTURE, fetcher, forever, hostile_server, refusal
from tests.support.fetching import measure

# Of everything that a download allocates, including the server in the same process: the standard library's parser takes
# some 600 KB for 64 KB of headers. A body in memory would be 256 MB.
PEAK_BYTES = 3 * 2**20
FETCHER = fetcher()
HASTY_FETCHER = fetcher(HASTY)
# Mostly pixels, so it can be cut anywhere after its first bytes.
LARGE = make_image(Format.PNG, 60, 40, bytes_at_least=9_000)
LENGTH = b"Content-Length: %d\r\n\r\n" % len(PICTURE)
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
GZIP = HEAD + b"Content-Encoding: gzip\r\n\r\n"
DEFLATE = HEAD + b"Content-Encoding: deflate\r\n\r\n"
FIRST_CHUNK = b"%x\r\n%b\r\n" % (len(PICTURE), PICTURE)
LETTERS, ZEROS = forever(b"x" * 4096), forever(bytes(65536))
# Of deflate, these hold nothing (RFC 1951, section 3.2.4).
EMPTY_BLOCKS = forever(struct.pack("<BHH", 0, 0, 65535) * 10_000)


def sized(length: bytes, body: bytes = PICTURE) -> bytes:
    return HEAD + b"Content-Length: %b\r\n\r\n%b" % (length, body)


def encoded(name: bytes, body: bytes = PICTURE) -> bytes:
    return HEAD + b"Content-Encoding: %b\r\nContent-Length: %d\r\n\r\n%b" % (name, len(body), body)


def zipped(body: bytes = PICTURE) -> bytes:
    return gzip.compress(body, mtime=0)


def bomb(megabytes: int) -> bytes:
    """Return an image followed by zeros, compressed to a thousandth."""
    return zipped(make_image(Format.JPEG, 20, 27) + bytes(megabytes << 20))


def location(target: bytes) -> bytes:
    return b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + target + b"\r\n\r\n"


FAILING: dict[str, tuple[Sequence[Action], str]] = {
    # The head.
    "5,000 headers": ([HEAD, forever(b"X-Filler: filler\r\n", 90_000)], "too_large"),
    "endless headers": ([HEAD, forever(b"X: " + b"x" * 1000 + b"\r\n")], "too_large"),
    "an endless header": ([HEAD + b"X: ", LETTERS], "too_large"),
    "an endless name of a header": ([HEAD, LETTERS], "too_large"),
    "99 headers of 64 KB": ([HEAD, forever(b"X: " + b"x" * 65_000 + b"\r\n", 6_500_000)], "too_large"),
    "an endless status line": ([b"HTTP/1.1 200 ", LETTERS], "too_large"),
    "an endless line": ([LETTERS], "too_large"),
    "a flood of 100 Continue": ([forever(b"HTTP/1.1 100 Continue\r\n\r\n")], "too_large"),
    "100 Continue with endless headers": ([b"HTTP/1.1 100 Continue\r\n", forever(b"X: x\r\n" * 1000)], "too_large"),
    "no head, as of HTTP/0.9": ([PICTURE], "connect_failed"),
    "HTTP/9": ([b"HTTP/9.9 200 OK\r\n" + LENGTH + PICTURE], "connect_failed"),
    "no status": ([b"HTTP/1.1\r\n" + LENGTH + PICTURE], "connect_failed"),
    "a status of letters": ([b"HTTP/1.1 two OK\r\n" + LENGTH + PICTURE], "connect_failed"),
    "a status of 99999": ([b"HTTP/1.1 99999 OK\r\n" + LENGTH + PICTURE], "connect_failed"),
    "a status of 999": ([b"HTTP/1.1 999 OK\r\n" + LENGTH + PICTURE], "http_status"),
    "NULs": ([bytes(4096)], "connect_failed"),
    "another protocol": ([b"SSH-2.0-OpenSSH_9.6\r\n"], "connect_failed"),
    "nothing": ([], "connect_failed"),
    # Redirects.
    "a loop": ([location(b"/a.png")], "too_many_redirects"),
    "a loop that grows": ([location(b"?" + b"x" * 1900)], "too_many_redirects"),
    "a Location of 60 KB": ([location(b"/" + b"x" * 60_000)], "invalid_url"),
    "a Location of 3 KB": ([location(b"/" + b"x" * 3_000)], "http_status"),
    "a Location that is endless": ([location(b"/")[:-4], LETTERS], "too_large"),
    "a Location with a NUL": ([location(b"/a\0b")], "invalid_url"),
    "a Location with an escape": ([location(b"/a\x1b[31mb")], "invalid_url"),
    "a Location with a space": ([location(b"/a b")], "http_status"),
    "a Location that is not UTF-8": ([location(b"/\xff\xfe")], "http_status"),
    "a Location of half an address": ([location(b"http://[::1/")], "invalid_url"),
    "a Location with a port of letters": ([location(b"http://127.0.0.1:http/")], "invalid_url"),
    "a Location with credentials": ([location(b"http://a:b@127.0.0.1/")], "invalid_url"),
    "a Location of another scheme": ([location(b"file:///etc/passwd")], "invalid_url"),
    "a redirect without a Location": ([b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"], "http_status"),
    "an endless body of a redirect": ([b"HTTP/1.1 302 Found\r\nLocation: file:/x\r\n\r\n", ZEROS], "invalid_url"),
    "an endless body of an error": ([b"HTTP/1.1 404 No\r\n\r\n", ZEROS], "http_status"),
    # Bodies.
    "an endless body": ([HEAD + b"\r\n" + PICTURE[:40], ZEROS], "not_an_image"),
    "an endless body of pictures": ([HEAD + b"\r\n", forever(PICTURE * 100)], "too_large"),
    "a Content-Length of 10 TB": ([sized(b"10000000000000")], "too_large"),
    "a Content-Length of 5,000 digits": ([sized(b"9" * 5000)], "too_large"),
    "a Content-Length that is too long": ([sized(b"999")], "truncated"),
    "a Content-Length that is too short": ([sized(b"5000", LARGE)], "truncated"),
    "a body that is not sent": ([ANSWER[: -len(PICTURE)]], "truncated"),
    "a body of which 10 bytes are sent": ([HEAD + LENGTH + PICTURE[:10]], "truncated"),
    "a body of which 40 bytes are sent": ([HEAD + LENGTH + PICTURE[:40]], "truncated"),
    "a Content-Length of 0": ([sized(b"0")], "not_an_image"),
    "two Content-Lengths": ([HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n" + PICTURE], "connect_failed"),
    "a page that is called a picture": ([HEAD + b"\r\n<!doctype html><p>Sign in</p>"], "not_an_image"),
    # Chunks.
    "a chunk of a negative size": ([CHUNKED + b"-1\r\n", ZEROS], "truncated"),
    "a chunk of minus 16 MB": ([CHUNKED + b"-1000000\r\n", ZEROS], "truncated"),
    "a chunk of no size": ([CHUNKED + b"\r\n" + PICTURE], "truncated"),
    "a chunk of garbage": ([CHUNKED + b"xyz\r\n" + PICTURE], "truncated"),
    "a chunk of 8 EB": ([CHUNKED + b"7fffffffffffffff\r\n" + PICTURE[:40], ZEROS], "too_large"),
    "an endless size of a chunk": ([CHUNKED, forever(b"0" * 4096)], "connect_failed"),
    "an endless extension of a chunk": ([CHUNKED + b"5;", LETTERS], "connect_failed"),
    "a chunk that is cut": ([CHUNKED + FIRST_CHUNK[:40]], "truncated"),
    "no last chunk": ([CHUNKED + FIRST_CHUNK], "truncated"),
    "endless trailers": ([CHUNKED + FIRST_CHUNK + b"0\r\n", forever(b"X: x\r\n" * 1000)], "too_large"),
    # Unrequested encodings.
    "a gzip bomb": ([GZIP, bomb(40)], "too_large"),
    "a gzip bomb in a gzip": ([encoded(b"gzip, gzip", zipped(bomb(1)))], "unsupported_format"),
    "two Content-Encodings": ([HEAD + b"Content-Encoding: gzip\r\n" * 2 + b"\r\n" + bomb(1)], "unsupported_format"),
    "gzip that is garbage": ([GZIP + b"\x1f\x8b" + b"garbage" * 9], "connect_failed"),
    "invalid gzip after a space": ([encoded(b"gzip ")], "connect_failed"),
    "gzip of empty members": ([GZIP + zipped(b"") * 5_000], "unsupported_format"),
    "gzip that is cut": ([GZIP + zipped(LARGE)[:5000]], "truncated"),
    "invalid gzip": ([GZIP + PICTURE], "connect_failed"),
    "deflate": ([encoded(b"deflate", zlib.compress(PICTURE))], "unsupported_format"),
    "deflate that is endless and empty": ([DEFLATE + b"\x78\x9c", EMPTY_BLOCKS], "unsupported_format"),
    "Brotli": ([encoded(b"br")], "unsupported_format"),
    "zstd": ([encoded(b"zstd")], "unsupported_format"),
}  # fmt: skip
# What is ended by the deadline, or by the limit of bytes where the machine is fast enough for that.
SLOW: dict[str, tuple[Sequence[Action], str]] = {
    "endless chunks of a byte": ([CHUNKED + FIRST_CHUNK, forever(b"1\r\n\0\r\n" * 1000)], "too_large or timeout"),
    "gzip that is endless and empty": ([GZIP + b"\x1f\x8b\x08" + bytes(7), EMPTY_BLOCKS], "too_large or timeout"),
    "silence": (in_pieces(b"x", pause=9), "timeout"),
    "silence in the headers": ([HEAD, *in_pieces(b"x", pause=9)], "timeout"),
    "silence in the body": ([ANSWER[:-9], *in_pieces(ANSWER[-9:], pause=9)], "timeout"),
    "a status line by the byte": (in_pieces(HEAD, pause=0.1), "timeout"),
    "headers by the byte": ([HEAD, *in_pieces(b"X: x\r\n" * 9, pause=0.1)], "timeout"),
    "a body by the byte": ([ANSWER[: -len(PICTURE)], *in_pieces(PICTURE, pause=0.1)], "timeout"),
    "chunks by the byte": ([CHUNKED, *in_pieces(FIRST_CHUNK, pause=0.1)], "timeout"),
    "redirects by the byte": (in_pieces(location(b"/"), pause=0.02), "timeout"),
}  # fmt: skip
# Failures that are reported as transient, because a transient failure may look the same.
TRANSIENT = {
    "nothing", "a Content-Length that is too long", "a chunk of a negative size", "a chunk of minus 16 MB",
    "a chunk of no size", "a chunk of garbage", "a chunk that is cut", "no last chunk", "a body that is not sent",
    "a body of which 10 bytes are sent", "a body of which 40 bytes are sent",
}  # fmt: skip

MEASURED: dict[str, bytes] = {
    "a plain answer": ANSWER,
    "HTTP/1.0": ANSWER.replace(b"HTTP/1.1", b"HTTP/1.0"),
    "99 headers": HEAD + b"X: x\r\n" * 90 + LENGTH + PICTURE,
    "NULs in a header": HEAD + b"X-A: a\0b\r\nX\0: c\r\n" + LENGTH + PICTURE,
    "bytes beyond ASCII in a header": HEAD + b"X-A: \xff\xc3\xbc\r\n" + LENGTH + PICTURE,
    "a hundred cookies' worth": HEAD + b"Set-Cookie: a=" + b"b;" * 20_000 + b"\r\n" + LENGTH + PICTURE,
    "100 Continue first": b"HTTP/1.1 100 Continue\r\n\r\n" + ANSWER,
    "another Content-Type": ANSWER.replace(b"image/png", b"text/html"),
    "no Content-Type": ANSWER.replace(b"Content-Type", b"X-Nothing"),
    "a Content-Length of letters": sized(b"abc"),
    "a negative Content-Length": sized(b"-5"),
    "one Content-Length twice": HEAD + LENGTH[:-2] + LENGTH + PICTURE,
    "garbage after the body": ANSWER + b"HTTP/1.1 200 OK\r\n" * 100,
    "chunks and a Content-Length": CHUNKED[:-2] + b"Content-Length: 5\r\n\r\n" + FIRST_CHUNK + b"0\r\n\r\n",
    "chunks with extensions and trailers": CHUNKED + FIRST_CHUNK.replace(b"\r", b";a=b\r", 1) + b"0\r\nX: x\r\n\r\n",
    "garbage after the last chunk": CHUNKED + FIRST_CHUNK + b"0\r\n\r\ngarbage",
    "gzip, unasked": GZIP + zipped(),
    "gzip in two parts": GZIP + zipped(PICTURE[:20]) + zipped(PICTURE[20:]),
    "gzip, unasked, with spaces around its name": encoded(b" GZip \t ", zipped()),
    "gzip by its old name": encoded(b"x-gzip", zipped()),
    "gzip of parts that a proxy has padded": GZIP + zipped() + bytes(512),
    "gzip of a hundred parts": GZIP
    + b"".join(zipped(PICTURE[at : at + 1]) for at in range(100))
    + zipped(PICTURE[100:]),
    "garbage after gzip": GZIP + zipped() + b"garbage",
    "an identity encoding": encoded(b"Identity"),
    "an identity encoding and a space": encoded(b"identity "),
    "an empty encoding": encoded(b""),
    "an encoding of its own": encoded(b"x" * 1000),
}


def check_refusal(fetcher: Fetcher, server: ImageServer, codes: str) -> MeasuringError:
    """Return the error of a measurement, which has one of these codes and takes little memory."""
    tracemalloc.start()
    try:
        error = refusal(fetcher, server.url("/a.png"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert error.code in codes.split(" or "), error.message
    assert error.message.isprintable()
    assert peak < PEAK_BYTES
    return error


@pytest.mark.parametrize("name", FAILING)
def test_a_hostile_response_has_a_code_and_takes_little_memory(name: str) -> None:
    answer, code = FAILING[name]
    with hostile_server(*answer) as server:
        assert check_refusal(FETCHER, server, code).is_transient == (name in TRANSIENT)


def test_a_response_before_the_request_has_a_code_and_takes_little_memory() -> None:
    with hostile_server(greeting=[b"220 mail ESMTP\r\n", End()]) as server:
        assert not check_refusal(FETCHER, server, "connect_failed").is_transient


@pytest.mark.parametrize("name", SLOW)
def test_a_slow_or_endless_response_is_ended_and_takes_little_memory(name: str) -> None:
    answer, codes = SLOW[name]
    with hostile_server(*answer) as server:
        error = check_refusal(HASTY_FETCHER, server, codes)
    assert error.is_transient == (error.code == "timeout")


@pytest.mark.parametrize("name", MEASURED)
def test_an_odd_answer_with_a_whole_picture_is_measured(name: str) -> None:
    with hostile_server(MEASURED[name]) as server:
        measured = measure(FETCHER, server.url("/a.png"))
    assert (measured.width, measured.height) == (20, 27)


@pytest.mark.parametrize("name", ["an endless body of a redirect", "an endless body of an error", "an endless body"])
def test_an_endless_body_is_hung_up_on_and_not_drained(name: str) -> None:
    start, body = FAILING[name][0]
    assert isinstance(body, Repeat)
    sent_bytes = 0

    def answer() -> Iterator[Action]:
        nonlocal sent_bytes
        yield start
        for _ in range(body.times):
            sent_bytes += len(body.content)
            yield body.content

    with ImageServer() as server:
        refusal(FETCHER, server.script("/a.png", answer()))
    # The limit is 1 MB; the rest is what the buffers of both sockets take before the server notices.
    assert 0 < sent_bytes < 32 * 2**20


def test_a_redirect_loop_ends_after_the_allowed_redirects() -> None:
    with hostile_server(location(b"/a.png")) as server:
        assert refusal(FETCHER, server.url("/a.png")).message == "more than 5 redirects"
    assert len(server.requests) == 6


def test_a_failure_behind_a_redirect_names_the_host_that_failed() -> None:
    with hostile_server() as failing, hostile_server(location(b"http://localhost:%d/a.png" % failing.port)) as server:
        error = refusal(FETCHER, server.url("/a.png"))
    assert error.message == "the connection to localhost failed"


def test_no_header_is_read_for_cookies(monkeypatch: pytest.MonkeyPatch) -> None:
    # The cookie parser takes quadratic time in a header's length.
    monkeypatch.delattr(http.cookiejar.CookieJar, "extract_cookies")
    cookies = b"Set-Cookie2: " + b'a="' * 20_000 + b"\r\nSet-Cookie: a=b\r\n"
    with hostile_server(HEAD + cookies + LENGTH + PICTURE) as server:
        assert measure(FETCHER, server.url("/a.png")).width == 20


def test_broken_headers_write_no_log_line() -> None:
    # A handler of the root logger, as in Lambda. Pytest's also records loggers that do not propagate.
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    logging.getLogger().addHandler(handler)
    broken = ANSWER.replace(b"\r\n\r\n", b"\r\nno colon here\r\n\r\n", 1)
    try:
        with hostile_server(broken) as server:
            measure(FETCHER, server.url("/a.png"))
    finally:
        logging.getLogger().removeHandler(handler)
    assert written.getvalue() == ""
