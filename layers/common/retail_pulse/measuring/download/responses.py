"""HTTP responses that are bounded while they are read: the head in bytes, the body in bytes off the wire.

`http.client` bounds a line to 64 KB and the headers to 100 lines, which is 6.5 MB for every thread, takes any number
of 1xx answers and trailers, and reads a chunk of a negative size to its end into memory.

Three internals of `http.client` are overridden, `begin`, `_read_next_chunk_size` and `_read_and_discard_trailer`;
`tests/measuring` would show it if a Python named them anew.
"""

import http.client
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from retail_pulse.domain.failures import FailureCode, MeasuringError

# Servers themselves send 8 to 32 KB at most; with 100 threads it is 6.5 MB in all.
MAX_HEAD_BYTES = 64 * 1024


def too_large(max_bytes: int) -> MeasuringError:
    """Return the error for an image that is larger than allowed."""
    return MeasuringError(FailureCode.TOO_LARGE, f"the image is larger than {max_bytes:,} bytes")


class _BoundedLines:
    """Reads lines up to a number of bytes in all."""

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
    """A response whose server cannot make it larger than it may be."""

    # Set by `GuardedAdapter`, on a subclass of its own.
    max_body_bytes: int

    _body_bytes = 0
    # Of http.client; None once the response is closed.
    fp: Any

    def begin(self) -> None:
        """Read the head, 1xx answers before it included."""
        with self._bounded("the response headers"):
            try:
                super().begin()
            except http.client.HTTPException as error:
                # http.client has no class of its own for too many headers.
                if type(error) is http.client.HTTPException:
                    raise MeasuringError(
                        FailureCode.TOO_LARGE, f"the response headers are too large: {error}"
                    ) from error
                raise

    def read(self, amt: int | None = None) -> bytes:
        """Read some of the body; what has to be decompressed counts as it comes."""
        if amt is not None and self.chunked:
            # http.client keeps the chunks apart until it has enough of them: 2.7 MB for 64 KB in chunks of one byte.
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
            # Unless the connection was closed meanwhile, which leaves none.
            if self.fp is lines:
                self.fp = source
