"""HTTP responses whose head and body are bounded while they are read.

`http.client` allows 100 header lines of 64 KB, 6.5 MB per thread, and any number of 1xx responses and trailers. After a
negative chunk size, it reads everything that follows into memory.

`begin`, `_read_next_chunk_size` and `_read_and_discard_trailer` of `http.client` are overridden. The last two are
internals; `tests/measuring` fails if a Python version renames them.
"""

import http.client
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from retail_pulse.domain.failures import FailureCode, MeasuringError

# Servers send at most 8 to 32 KB. With 100 threads, this is 6.5 MB in total.
MAX_HEAD_BYTES = 64 * 1024


def too_large(max_bytes: int) -> MeasuringError:
    """Return the error for an image that is larger than allowed."""
    return MeasuringError(FailureCode.TOO_LARGE, f"the image is larger than {max_bytes:,} bytes")


class _BoundedLines:
    """Reads lines up to a total number of bytes."""

    def __init__(self, source: io.BufferedIOBase, what: str) -> None:
        self._source = source
        self._what = what
        self._left = MAX_HEAD_BYTES

    def readline(self, limit: int) -> bytes:
        line = self._source.readline(min(limit, self._left + 1))
        self._left -= len(line)
        if self._left < 0:
            raise MeasuringError(FailureCode.TOO_LARGE, f"{self._what} are larger than {MAX_HEAD_BYTES:,} bytes")
        return line

    def close(self) -> None:
        self._source.close()


class BoundedResponse(http.client.HTTPResponse):
    """A response that raises `MeasuringError` when its head or body is too large."""

    # Set by `GuardedAdapter` on a subclass.
    max_body_bytes: int

    _body_bytes = 0
    # Of http.client: the source of bytes, None once the response is closed.
    fp: Any

    def begin(self) -> None:
        """Read the head, including any 1xx responses before it."""
        with self._bounded("the response headers"):
            try:
                super().begin()
            except http.client.HTTPException as error:
                # http.client raises no subclass for too many headers.
                if type(error) is not http.client.HTTPException:
                    raise
                message = f"the response headers are too large: {error}"
                raise MeasuringError(FailureCode.TOO_LARGE, message) from error

    def read(self, amt: int | None = None) -> bytes:
        """Read some of the body, and count the bytes before any decompression."""
        if amt is not None and self.chunked:
            # http.client collects chunks in a list: 2.7 MB for 64 KB in chunks of one byte.
            pieces = bytearray()
            while len(pieces) < amt and (piece := self.read1(amt - len(pieces))):
                pieces += piece
            data = bytes(pieces)
        else:
            data = super().read(amt)
        self._body_bytes += len(data)
        if self._body_bytes > self.max_body_bytes:
            raise too_large(self.max_body_bytes)
        return data

    def _read_next_chunk_size(self) -> int:
        size: int = super()._read_next_chunk_size()  # type: ignore[misc]  # an internal
        if size < 0:
            raise ValueError("negative chunk size")
        return size

    def _read_and_discard_trailer(self) -> None:
        with self._bounded("the response trailers"):
            super()._read_and_discard_trailer()  # type: ignore[misc]  # an internal

    @contextmanager
    def _bounded(self, what: str) -> Iterator[None]:
        source = self.fp
        lines = self.fp = _BoundedLines(source, what)
        try:
            yield
        finally:
            # It is None if the connection was closed in the meantime.
            if self.fp is lines:
                self.fp = source
