"""Decompressing gzip as it arrives, with bounded memory and bounded work.

urllib3's own decoder bounds the bytes that it returns, but not the members of a stream: 50 MB of empty ones take 6 s
of CPU within one read. Checked with urllib3 2.8.0; once it bounds them, this module can go.
"""

import zlib
from collections.abc import Iterator

from retail_pulse.domain.failures import FailureCode, MeasuringError

# A stream is a series of members (RFC 1952, section 2.2); real servers send one. Each member costs a decompressor, and
# millions of empty ones, of 20 bytes each, fit into a body.
_MAX_MEMBERS = 1_000
# Window bits, and 16 for gzip's header and checksum.
_GZIP = 16 + zlib.MAX_WBITS


class Gunzip:
    """Decompresses a stream as it arrives.

    Parameters
    ----------
    block_bytes
        Maximum size of each block that `feed` yields.
    """

    def __init__(self, block_bytes: int) -> None:
        self._block_bytes = block_bytes
        self._member = zlib.decompressobj(_GZIP)
        self._members = 1
        self._has_ended = False

    def feed(self, data: bytes | memoryview) -> Iterator[bytes]:
        """Decompress the next bytes, and ignore what follows the last member.

        Raises
        ------
        MeasuringError
            The stream is not valid gzip, or has too many members.
        """
        while not self._has_ended:
            if self._member.eof:
                if not data:
                    return
                self._start_member()
            block = self._decompress(data)
            if block:
                yield block
            if self._member.eof:
                data = self._member.unused_data
            else:
                data = self._member.unconsumed_tail
                # Without input left, only a full block means that the decompressor holds more output.
                if not data and len(block) < self._block_bytes:
                    return

    def _decompress(self, data: bytes | memoryview) -> bytes:
        try:
            return self._member.decompress(data, self._block_bytes)
        except zlib.error as error:
            if self._members > 1:
                # Padding or garbage after a complete member is ignored, as other decoders do.
                self._has_ended = True
                return b""
            message = "Content-Encoding is gzip, but the body is not valid gzip"
            raise MeasuringError(FailureCode.CONNECT_FAILED, message, passing=False) from error

    def _start_member(self) -> None:
        self._members += 1
        if self._members > _MAX_MEMBERS:
            message = f"the gzip body has more than {_MAX_MEMBERS:,} members"
            raise MeasuringError(FailureCode.UNSUPPORTED_FORMAT, message)
        self._member = zlib.decompressobj(_GZIP)
