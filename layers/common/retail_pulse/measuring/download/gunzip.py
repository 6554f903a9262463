"""Undoing gzip as it comes, in bounded memory and bounded work."""

import zlib
from collections.abc import Iterator

from retail_pulse.domain.failures import FailureCode, MeasuringError

# Members follow each other in one stream (RFC 1952, section 2.2). Real servers send one. Each costs a decoder of its
# own, and of empty ones, which have 20 bytes, millions fit into a body.
_MAX_MEMBERS = 1_000
# Window bits, and 16 for gzip's header and checksum.
_GZIP = 16 + zlib.MAX_WBITS


class Gunzip:
    """Takes a compressed stream as it comes.

    Parameters
    ----------
    block_bytes
        Most bytes of what is given back at once, whatever a block inflates to.
    """

    def __init__(self, block_bytes: int) -> None:
        self._block_bytes = block_bytes
        self._member = zlib.decompressobj(_GZIP)
        self._members = 1
        self._is_over = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what the next bytes inflate to; nothing of what lies behind the last member.

        Raises
        ------
        MeasuringError
            The stream is no gzip, or has more members than any real one.
        """
        while not self._is_over:
            if self._member.eof:
                if not data:
                    return
                self._begin()
            block = self._inflate(data)
            if block:
                yield block
            if self._member.eof:
                data = self._member.unused_data
            else:
                data = self._member.unconsumed_tail
                # Without a byte to take, a full block says that there is more of what was taken before.
                if not data and len(block) < self._block_bytes:
                    return

    def _inflate(self, data: bytes) -> bytes:
        try:
            return self._member.decompress(data, self._block_bytes)
        except zlib.error as error:
            if self._members > 1:
                # Padding and garbage behind a whole stream do no harm, as with every other reader.
                self._is_over = True
                return b""
            message = "Content-Encoding is gzip, but the body is not valid gzip"
            raise MeasuringError(FailureCode.CONNECT_FAILED, message, passing=False) from error

    def _begin(self) -> None:
        self._members += 1
        if self._members > _MAX_MEMBERS:
            raise MeasuringError(
                FailureCode.UNSUPPORTED_FORMAT, f"the gzip body has more than {_MAX_MEMBERS:,} members"
            )
        self._member = zlib.decompressobj(_GZIP)
