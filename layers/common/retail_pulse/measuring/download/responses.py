"""Bodies of responses: how they are framed, and reading them within bounds."""

import re
from collections.abc import Callable, Iterator
from http.client import HTTPException, IncompleteRead

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.measuring.download.codings import is_chunked, members
from retail_pulse.measuring.download.heads import MAX_HEAD_BYTES, Head, read_section
from retail_pulse.measuring.download.sockets import Stream

_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]+)[ \t\r]*(?:;.*)?\n", re.S)
_MAX_CHUNK_LINE_BYTES = 4 * 1024
# Each chunk costs 1.6 us, whatever it holds. Servers send 4 to 64 KB in one, but tower-web sent files in chunks of 31
# bytes (https://github.com/carllerche/tower-web/pull/152). Only some thousand chunks may hold less than 24.
_SMALL_CHUNKS = 4_096
_BYTES_PER_CHUNK = 24
# Small chunks are put together: a block costs more than a chunk.
_JOINED_BYTES = 64 * 1024
# More digits are too large for any limit, and converting them would take time.
_MAX_DIGITS = 18


def too_large(max_bytes: int) -> MeasuringError:
    """Return the error for an image that is larger than allowed."""
    return MeasuringError(FailureCode.TOO_LARGE, f"the image is larger than {max_bytes:,} bytes")


class Body:
    """The body of a response, as it arrives; iterating over it yields blocks of bytes.

    Parameters
    ----------
    max_bytes
        Maximum size, before any content coding is undone.
    end
        Is called once, when the body is closed: with whether another request may follow on the connection.

    Notes
    -----
    Reading raises `MeasuringError` for a body that is too large, `IncompleteRead` for one that ends early, and
    `HTTPException` for one that is not valid HTTP.
    """

    def __init__(self, stream: Stream, head: Head, max_bytes: int, end: Callable[[bool], None]) -> None:
        self._stream = stream
        self._head = head
        self._max_bytes = max_bytes
        self._end: Callable[[bool], None] | None = end
        self._can_follow = False

    def __iter__(self) -> Iterator[bytes | memoryview]:
        """Yield the body in blocks."""
        fields = self._head.fields
        if is_chunked(fields):
            return self._chunks()
        length = _content_length(fields)
        return self._until_end() if length is None else self._sized(length)

    def close(self) -> None:
        """End the response; unless the whole body was read, no other request can follow."""
        end, self._end = self._end, None
        if end is not None:
            end(self._can_follow)

    def _is_kept(self) -> bool:
        """Return whether the server keeps the connection (RFC 9112, section 9.3)."""
        options = members(self._head.fields.get("connection", ""))
        return "close" not in options and (not self._head.is_1_0 or "keep-alive" in options)

    def _sized(self, length: int) -> Iterator[bytes | memoryview]:
        if length > self._max_bytes:
            raise too_large(self._max_bytes)
        while length:
            block = self._stream.block(length)
            if not block:
                raise IncompleteRead(b"", length)
            length -= len(block)
            # Before the last block: its reader may want no more.
            self._can_follow = not length and self._is_kept()
            yield block

    def _until_end(self) -> Iterator[bytes | memoryview]:
        left = self._max_bytes
        while block := self._stream.block(left + 1, are_coming=False):
            left -= len(block)
            if left < 0:
                raise too_large(self._max_bytes)
            yield block

    def _chunks(self) -> Iterator[bytes | memoryview]:
        stream = self._stream
        joined = bytearray()
        received = chunks = 0
        while size := self._chunk_size():
            chunks += 1
            received += size
            if received > self._max_bytes:
                raise too_large(self._max_bytes)
            if chunks > _SMALL_CHUNKS + received // _BYTES_PER_CHUNK:
                raise MeasuringError(FailureCode.TOO_LARGE, f"the response has too many small chunks: {chunks:,}")
            while size:
                block = stream.block(size)
                if not block:
                    raise IncompleteRead(b"", size)
                size -= len(block)
                joined += block
                if len(joined) >= _JOINED_BYTES or not stream.has_unread:
                    yield bytes(joined)
                    joined.clear()
            if stream.line(_MAX_CHUNK_LINE_BYTES) not in (b"\r\n", b"\n"):
                raise IncompleteRead(b"")
        if joined:
            yield bytes(joined)
        # Who sends both lengths, or chunks by HTTP/1.0, may mean something else (RFC 9112, section 6.1).
        is_clear = not self._head.is_1_0 and "content-length" not in self._head.fields
        self._can_follow = self._read_trailers() and is_clear and self._is_kept()

    def _chunk_size(self) -> int:
        size = _CHUNK_SIZE.fullmatch(self._stream.line(_MAX_CHUNK_LINE_BYTES))
        if size is None:
            # A chunk that was longer or shorter than announced, or the end of the connection.
            raise IncompleteRead(b"")
        return int(size[1], 16)

    def _read_trailers(self) -> bool:
        """Return whether the trailers are complete: some servers close the connection in place of them."""
        try:
            read_section(self._stream, MAX_HEAD_BYTES, "the response trailers")
        except IncompleteRead:
            return False
        return True


def _content_length(fields: dict[str, str]) -> int | None:
    """Return the length of a body; None without one. It may be a list of equal numbers (RFC 9110, section 8.6)."""
    numbers = {
        int(member[:_MAX_DIGITS]) if len(member) <= _MAX_DIGITS else 10**_MAX_DIGITS
        for member in members(fields.get("content-length", ""))
        if member.isascii() and member.isdecimal()
    }
    if len(numbers) > 1:
        raise HTTPException("several lengths")
    return numbers.pop() if numbers else None
