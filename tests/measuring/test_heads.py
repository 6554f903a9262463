"""Heads of responses: a broken line costs only itself, and no head takes more memory than its bytes."""

import socket
import tracemalloc
from http.client import BadStatusLine, IncompleteRead

import pytest

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.measuring.deadline import deadline
from retail_pulse.measuring.download.heads import Head, read_head
from retail_pulse.measuring.download.sockets import Stream

OK = b"HTTP/1.1 200 OK\r\n"


def read(sent: bytes, step: int = 1 << 20) -> Head:
    """Return the head of what a server sends in pieces, before it ends the connection."""
    ours, theirs = socket.socketpair()
    with ours, theirs, deadline(10):
        stream = Stream(ours, 10)
        pieces = [sent[at : at + step] for at in range(0, len(sent), step)]
        # What is not sent yet is not there when the reader asks for it.
        receive = stream._receive

        def send_and_receive(coming: int = 0) -> None:
            theirs.sendall(pieces.pop(0)) if pieces else theirs.close()
            receive(coming)

        stream._receive = send_and_receive  # type: ignore[method-assign]
        return read_head(stream)


def fields(*lines: bytes) -> dict[str, str]:
    return read(OK + b"".join(line + b"\r\n" for line in lines) + b"\r\n").fields


BROKEN_LINES = [
    b"no colon", b": no name", b"X Y: a name with a blank", b"\0: a NUL", b"Content-Length\0: 5", b"\xff\xfe: bytes",
    b"(comment): x", b"HTTP/1.1 404 Not Found", b"<html>", b"X: " + b"x" * 9_000, b"Content Length: 5",
    b"Content-Length", b'"Content-Length": 5', b"X-Content-Length: 5", b"=?utf-8?q?Content-Length?=: 5",
    b"From me@example.com Mon Nov 2",
]  # fmt: skip


@pytest.mark.parametrize("line", BROKEN_LINES)
def test_a_broken_line_costs_only_itself(line: bytes) -> None:
    expected = {"retry-after": "7", "content-length": "68"}
    assert fields(b"Retry-After: 7", line, b"Content-Length: 68") == expected


@pytest.mark.parametrize("step", [1, 2, 3, 1000])
def test_a_head_is_read_however_it_is_split(step: int) -> None:
    sent = OK + b"Content-Length: 68\r\nLocation: /a\r\n b\r\nX: y\r\n\r\nbody"
    assert read(sent, step) == Head(200, False, {"content-length": "68", "location": "/a b"})


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        # A bare CR is a space (RFC 9112, section 2.2).
        ([b"X: a\rLocation: http://evil.test/"], {}),
        ([b"Location: /a\rContent-Length: 5"], {"location": "/a Content-Length: 5"}),
        ([b"Location: /a\r"], {"location": "/a"}),
        ([b"Location: /a", b"\rContent-Length: 5"], {"location": "/a Content-Length: 5"}),
        ([b"Location: /a", b"\r"], {"location": "/a"}),
        ([b"\rContent-Length: 5"], {}),
        # A fold continues the line before (section 5.2).
        ([b"Content-Encoding: gzip,", b"\t identity \t", b"  "], {"content-encoding": "gzip, identity"}),
        ([b"X: a", b" Content-Length: 5"], {}),
        ([b" Content-Length: 5"], {}),
        ([b"no colon", b" Content-Length: 5"], {}),
        ([b"Content-Length:", b" 68"], {"content-length": "68"}),
        # Blanks around values, and in front of the colon as browsers read it.
        ([b"Content-Length:68"], {"content-length": "68"}),
        ([b"CONTENT-LENGTH: \t 68 \t"], {"content-length": "68"}),
        ([b"Content-Length : 68"], {"content-length": "68"}),
        ([b"Retry-After:"], {"retry-after": ""}),
        # Several fields of a name.
        ([b"Content-Length: 5", b"X: y", b"content-length: 6"], {"content-length": "5, 6"}),
        ([b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked"], {"transfer-encoding": "identity, chunked"}),
        # Only what the service uses.
        ([b"Set-Cookie: a=b", b"Date: now", b"Content-Type: image/png"], {}),
        ([b"Location: /\xfc"], {"location": "/\xfc"}),
    ],
)
def test_fields_are_read_as_browsers_read_them(lines: list[bytes], expected: dict[str, str]) -> None:
    assert fields(*lines) == expected


@pytest.mark.parametrize(
    ("line", "status", "is_1_0"),
    [
        (b"HTTP/1.1 200 OK", 200, False),
        (b"HTTP/1.1 200", 200, False),
        (b"HTTP/1.1 200 ", 200, False),
        (b"HTTP/1.0 404 Not Found", 404, True),
        (b"http/1.1 203 ok", 203, False),
        (b"HTTP/1.1  201\tCreated", 201, False),
        (b" HTTP/1.1 200 OK", 200, False),
        (b"HTTP/1.1 200OK", 200, False),
        (b"HTTP/1.1 200 \xfc\r\rOK", 200, False),
        (b"HTTP/1.1 999 No", 999, False),
        (b"HTTP/1.1 101 Switching Protocols", 101, False),
    ],
)
def test_a_status_line_may_be_odd(line: bytes, status: int, is_1_0: bool) -> None:
    assert read(line + b"\r\n\r\n") == read(line + b"\n\n") == Head(status, is_1_0, {})


@pytest.mark.parametrize(
    "sent",
    [
        b"<html>\r\n", b"HTTP/1.1\r\n\r\n", b"HTTP/1.1 20 OK\r\n\r\n", b"HTTP/1.1 2000 OK\r\n\r\n", b"\r\n\r\n",
        b"HTTP/1.1 099 OK\r\n\r\n", b"HTTP/2 200\r\n\r\n", b"HTTP/1.1200\r\n\r\n", b"ICY 200 OK\r\n\r\n", b"GIF89a",
        b"HTTP/1.1 \xb2\xb2\xb2\r\n\r\n", b"\rHTTP/9", b"X" * 65_000 + b"\n",
    ],
)  # fmt: skip
def test_what_is_not_http_1_is_refused(sent: bytes) -> None:
    with pytest.raises(BadStatusLine):
        read(sent)


@pytest.mark.parametrize("sent", [OK, OK + b"X: y\r\n", OK + b"Content-Length: 6", OK[:-2], OK[:9], OK[:3]])
def test_a_head_that_is_cut_is_incomplete(sent: bytes) -> None:
    with pytest.raises(IncompleteRead):
        read(sent)


def test_all_1xx_responses_but_101_are_skipped() -> None:
    informational = b"HTTP/1.1 %d \r\nLocation: /hint\r\nContent-Length: 9\r\n\r\n"
    hints = b"".join(informational % status for status in (100, 102, 103, 199))
    assert read(hints + OK + b"Content-Length: 68\r\n\r\n") == Head(200, False, {"content-length": "68"})
    assert read(hints + informational % 101 + OK).status == 101


def test_the_bound_is_on_bytes_and_not_on_lines() -> None:
    assert read(OK + b"X: y\r\n" * 10_000 + b"Content-Length: 5\r\n\r\n").fields == {"content-length": "5"}
    exact = OK + b"X:" + b"x" * (65_536 - len(OK) - 6) + b"\r\n\r\n"
    assert read(exact).status == 200
    early_hints = b"HTTP/1.1 103 Early Hints\r\nX: " + b"x" * 30_000 + b"\r\n\r\n"
    for sent in (exact.replace(b"X:", b"X: "), early_hints * 3, OK + b"X: y\r\n" * 11_000, OK + b"X" * 70_000):
        with pytest.raises(MeasuringError, match="the response headers are larger than 65,536 bytes") as caught:
            read(sent)
        assert caught.value.code is FailureCode.TOO_LARGE


# Each head has 64 KB.
LARGE_HEADS = {
    "16,000 lines that end in a bare CR": OK + b"".join(b"%x:\r" % n for n in range(11_200))[:65_000] + b"\r\n\r\n",
    "many fields that are used": OK + b"Connection:a\r\n" * 4_600 + b"\r\n",
    "many fields that are not used": OK + b"X:a\r\n" * 13_000 + b"\r\n",
    "one field that is used": OK + b"Location: " + b"x" * 65_000 + b"\r\n\r\n",
    "one field in many folds": OK + b"Connection: a\r\n" + b" a\r\n" * 16_000 + b"\r\n",
    "many empty fields": OK + b"Location:\r\n" * 5_900 + b"\r\n",
}


@pytest.mark.parametrize("name", LARGE_HEADS)
def test_a_head_takes_no_more_memory_than_its_bytes(name: str) -> None:
    tracemalloc.start()
    try:
        head = read(LARGE_HEADS[name])
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert head.status == 200
    assert kept < 150_000
    # Besides what is kept: what was received last, and the line that is being read.
    assert peak < 500_000
