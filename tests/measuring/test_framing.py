"""How the body of a response is framed and coded: lists, as servers write them; and how many chunks it may have."""

import gzip
import zlib
from dataclasses import replace

import pytest

from local.images.pictures import Format, make_image
from retail_pulse.domain.failures import MeasuringError
from retail_pulse.domain.hosts import Hosts
from retail_pulse.measuring.download.heads import Head
from retail_pulse.measuring.download.responses import Body
from retail_pulse.measuring.fetch import Fetcher
from tests.measuring.hostile_server import HEAD, LOOPBACK, PATIENT, PICTURE, fetcher, hostile_server, refusal
from tests.support.fetching import measure

FETCHER = fetcher()
LENGTH = b"Content-Length: %d\r\n" % len(PICTURE)
CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(PICTURE), PICTURE)
ZIPPED = gzip.compress(PICTURE, mtime=0)


def answer(fields: bytes, body: bytes, status: bytes = b"200 OK") -> bytes:
    return HEAD.replace(b"200 OK", status) + fields + b"\r\n" + body


def sized(fields: bytes, body: bytes = PICTURE, status: bytes = b"200 OK") -> bytes:
    return answer(fields + b"Content-Length: %d\r\n" % len(body), body, status)


def encoded(value: bytes, body: bytes = PICTURE) -> bytes:
    return sized(b"Content-Encoding: " + value + b"\r\n", body)


MEASURED = {
    # Lengths. What follows the body shows that the length was read.
    "a length with blanks": answer(b"Content-Length:  \t%d \t\r\n" % len(PICTURE), PICTURE),
    "equal lengths in one field": answer(LENGTH[:-2] + b", %d\r\n" % len(PICTURE), PICTURE + b"more"),
    "equal lengths in three fields": answer(LENGTH * 3, PICTURE + b"more"),
    "equal lengths with zeros": answer(b"Content-Length: 0%d, %d\r\n" % (len(PICTURE), len(PICTURE)), PICTURE),
    "a length and empty members": answer(b"Content-Length: , %d,,\r\n" % len(PICTURE), PICTURE + b"more"),
    "a length and garbage": answer(b"Content-Length: x, %d\r\n" % len(PICTURE), PICTURE + b"more"),
    "no valid length": answer(b"Content-Length: 0x44\r\nContent-Length: -1, +5, 1.0\r\n", PICTURE),
    "digits that are not ASCII": answer("Content-Length: ٦٨\r\n".encode(), PICTURE),
    # Transfer codings.
    "chunked and a blank": answer(b"Transfer-Encoding: chunked \r\n", CHUNKS),
    "Chunked in capitals": answer(b"transfer-encoding:\tCHUNKED\r\n", CHUNKS),
    "identity, chunked": answer(b"Transfer-Encoding: identity, chunked\r\n", CHUNKS),
    "identity and chunked in two fields": answer(
        b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", CHUNKS
    ),
    "chunked twice": answer(b"Transfer-Encoding: chunked\r\n" * 2, CHUNKS),
    "empty members and chunked": answer(b"Transfer-Encoding: ,, chunked,\r\n", CHUNKS),
    "identity": answer(b"Transfer-Encoding: identity\r\n" + LENGTH, PICTURE + b"more"),
    "an unregistered transfer coding": answer(b"Transfer-Encoding: binary\r\n" + LENGTH, PICTURE + b"more"),
    "chunks and different lengths": answer(
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\nContent-Length: 6\r\n", CHUNKS
    ),
    # Chunks.
    "a blank around the size": answer(
        b"Transfer-Encoding: chunked\r\n", b" %x \r\n%b\r\n 0 \r\n\r\n" % (len(PICTURE), PICTURE)
    ),
    "zeros before the size": answer(
        b"Transfer-Encoding: chunked\r\n", b"000%X\r\n%b\r\n000\r\n\r\n" % (len(PICTURE), PICTURE)
    ),
    "line feeds only": answer(b"Transfer-Encoding: chunked\r\n", CHUNKS[:-7].replace(b"\r\n", b"\n", 1) + b"\n0\n\n"),
    "extensions": answer(b"Transfer-Encoding: chunked\r\n", CHUNKS.replace(b"\r\n", b' ; a="b;c"\r\n', 1)),
    "no trailers": answer(b"Transfer-Encoding: chunked\r\n", CHUNKS[:-2]),
    "4,000 chunks of a byte": answer(
        b"Transfer-Encoding: chunked\r\n",
        b"".join(b"1\r\n%c\r\n" % byte for byte in PICTURE.ljust(4_000)) + b"0\r\n\r\n",
    ),
    # Content codings.
    **{
        f"Content-Encoding: {name}": encoded(name.encode())
        for name in (
            "identity, identity", ",", " , ,", "none", "base64", "aws-chunked", "utf-8", "UTF-8", "binary", "8bit",
            "image/png", "Identity,aws-chunked", "gzipped", "*", "null", "-", "deflated", "identity;q=1",
        )
    },
    **{
        f"Content-Encoding: {name}, of gzip": encoded(name.encode(), ZIPPED)
        for name in (
            "gzip,", ", gzip", "GZIP, identity", "aws-chunked, gzip", "gzip,aws-chunked", "x-gzip, utf-8",
            "base64 ,gzip",
        )
    },
    "two fields, of gzip": encoded(b"aws-chunked\r\nContent-Encoding: gzip", ZIPPED),
    # Statuses.
    "201": sized(b"", status=b"201 Created"),
    "203": sized(b"", status=b"203 Non-Authoritative Information"),
    **{
        f"206 of {content_range}": sized(
            f"Content-Range: {content_range}\r\n".encode(), status=b"206 Partial Content"
        )
        for length in [len(PICTURE)]
        for content_range in (
            f"bytes 0-{length - 1}/{length}", f"Bytes  0-{length - 1}/{length} ", f"bytes=0-{length - 1}/{length}",
        )
    },
}  # fmt: skip
FAILING = {
    "different lengths": (answer(LENGTH + b"Content-Length: 5\r\n", PICTURE), "connect_failed"),
    "different lengths in one field": (answer(LENGTH[:-2] + b", 1\r\n", PICTURE), "connect_failed"),
    "another length in between": (answer(LENGTH + b"Content-Length: 5\r\n" + LENGTH, PICTURE), "connect_failed"),
    "a length of 30 digits too": (answer(LENGTH + b"Content-Length: %b\r\n" % (b"9" * 30), PICTURE), "connect_failed"),
    "a gzip transfer coding": (answer(b"Transfer-Encoding: gzip, chunked\r\n", CHUNKS), "unsupported_format"),
    "a chunk that is longer than its size": (
        answer(b"Transfer-Encoding: chunked\r\n", CHUNKS.replace(b"\r\n0", b"more\r\n0")), "truncated",
    ),
    "a chunk that is shorter than its size": (
        answer(b"Transfer-Encoding: chunked\r\n", b"1" + CHUNKS), "truncated",
    ),
    "a size that Python would read": (answer(b"Transfer-Encoding: chunked\r\n", b"0x" + CHUNKS), "truncated"),
    **{
        f"Content-Encoding: {name}": (encoded(name.encode(), body), "unsupported_format")
        for name, body in {
            "deflate": zlib.compress(PICTURE), "br": PICTURE, "zstd": PICTURE, "compress": PICTURE,
            "x-compress": PICTURE,
            "gzip, br": ZIPPED, "br, gzip": ZIPPED, "BR ": PICTURE, "identity, zstd": PICTURE,
            **dict.fromkeys(("aes128gcm", "dcb", "dcz", "exi", "pack200-gzip"), PICTURE),
            "gzip, x-gzip": ZIPPED, "gzip,,gzip": ZIPPED, "x-gzip, identity, gzip": gzip.compress(ZIPPED),
        }.items()
    },
    **{
        f"206 of {content_range}": (
            sized(f"Content-Range: {content_range}\r\n".encode(), status=b"206 Partial Content"), "http_status",
        )
        for length in [len(PICTURE)]
        for content_range in (
            "", f"bytes 1-{length - 1}/{length}", f"bytes 0-{length - 1}/{length + 1}", f"bytes 0-{length - 1}/*",
            f"bytes 0-{length}/{length}", f"bytes */{length}", f"items 0-{length - 1}/{length}",
        )
    },
    "206 without a range": (sized(b"", status=b"206 Partial Content"), "http_status"),
    **{
        f"{status}": (sized(b"", status=b"%d x" % status), "http_status")
        for status in (101, 202, 204, 205, 207, 226, 300, 304, 400, 403, 404, 410, 416, 418, 426, 451, 600)
    },
}  # fmt: skip
TRANSIENT = {
    status: sized(b"Retry-After: 7\r\n", status=b"%d x" % status)
    for status in (408, 425, 429, 500, 502, 503, 504, 507, 520, 599)
}


@pytest.mark.parametrize("name", MEASURED)
def test_an_image_is_measured_after(name: str) -> None:
    with hostile_server(MEASURED[name]) as server:
        measured = measure(FETCHER, server.url("/a.png"))
    assert (measured.width, measured.height) == (20, 27)


@pytest.mark.parametrize("name", FAILING)
def test_an_image_fails_for_good_after(name: str) -> None:
    sent, code = FAILING[name]
    with hostile_server(sent) as server:
        error = refusal(FETCHER, server.url("/a.png"))
    assert error.code == code
    assert error.is_transient == (code == "truncated")


@pytest.mark.parametrize("status", TRANSIENT)
def test_a_status_that_may_change_is_transient(status: int) -> None:
    with hostile_server(TRANSIENT[status]) as server:
        error = refusal(FETCHER, server.url("/a.png"))
    assert (error.code, error.message) == ("http_status", f"127.0.0.1 returned status {status}")
    assert (error.is_transient, error.costs_attempt, error.retry_after) == (True, True, 7)


class FakeStream:
    """A stream that has all of its bytes, and counts the lines and blocks that are read of it."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self.steps = 0

    @property
    def has_unread(self) -> bool:
        return self._at < len(self._data)

    def line(self, max_bytes: int) -> bytes:
        self.steps += 1
        end = self._data.find(b"\n", self._at) + 1 or len(self._data)
        line, self._at = self._data[self._at : end], end
        return line

    def section(self, max_bytes: int) -> bytes:
        assert self.line(max_bytes) == b"\r\n"
        return b"\n\r\n"

    def block(self, max_bytes: int, *, are_coming: bool = True) -> bytes:
        self.steps += 1
        block = self._data[self._at : self._at + max_bytes]
        self._at += len(block)
        return block


def chunks(body: bytes, size: int) -> FakeStream:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return FakeStream(b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n")


def body_of(stream: FakeStream) -> Body:
    head = Head(200, False, {"transfer-encoding": "chunked"})
    return Body(stream, head, 10**8, lambda _: None)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [1, 2, 8])
def test_millions_of_small_chunks_end_after_some_thousand_steps(size: int) -> None:
    stream = chunks(bytes(10**6), size)
    with pytest.raises(MeasuringError, match="the response has too many small chunks") as caught:
        list(body_of(stream))
    assert (caught.value.code, caught.value.is_transient) == ("too_large", False)
    # Three for each of the chunks that an attacker gets for nothing, and for those that its bytes allow.
    assert stream.steps < 30_000


def test_the_limit_of_small_chunks_is_exact() -> None:
    """Check that 4,096 chunks are free, and one more for each 24 bytes."""
    most = 4_274
    assert most == 4_096 + most // 24
    assert b"".join(body_of(chunks(bytes(most), 1))) == bytes(most)
    with pytest.raises(MeasuringError, match="the response has too many small chunks: 4,275"):
        list(body_of(chunks(bytes(most + 1), 1)))


# What servers were seen to send.
@pytest.mark.parametrize("size", [31, 512, 1_000, 4_096, 8_192, 65_536])
def test_chunks_of_real_servers_are_read_whatever_the_length(size: int) -> None:
    body = bytes(range(256)) * 20_000
    blocks = list(body_of(chunks(body, size)))
    assert b"".join(blocks) == body
    # Small chunks are joined.
    assert len(blocks) <= 1 + len(body) / max(size, 32_768)


# An image of 20,000 bytes; compressed, it has fewer.
LARGE = make_image(Format.JPEG, 20, 27) + bytes(20_000)
FRAMED = {
    "a length": sized(b"", LARGE),
    "the end of the connection": answer(b"", LARGE),
    "a chunk": answer(b"Transfer-Encoding: chunked\r\n", b"%x\r\n%b\r\n0\r\n\r\n" % (len(LARGE), LARGE)),
    "two chunks": answer(
        b"Transfer-Encoding: chunked\r\n",
        b"10\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (LARGE[:16], len(LARGE) - 16, LARGE[16:]),
    ),
    "gzip": encoded(b"gzip", gzip.compress(LARGE)),
}


@pytest.mark.parametrize("name", FRAMED)
def test_the_limit_of_bytes_is_exact(name: str) -> None:
    exact, too_low = (Fetcher(replace(PATIENT, image_bytes=len(LARGE) - less), LOOPBACK, Hosts(100)) for less in (0, 1))
    with hostile_server(FRAMED[name]) as server:
        assert measure(exact, server.url("/a.png")).bytes == len(LARGE)
        assert refusal(too_low, server.url("/a.png")).code == "too_large"
