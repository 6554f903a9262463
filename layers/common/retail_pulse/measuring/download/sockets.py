"""Sending and receiving within a thread's deadline.

A socket's own time-out applies to one read or write, so a server that sends a byte now and then never exceeds it. Here
each wait also ends with the deadline.
"""

import re
import select
import socket
import ssl
import threading
from http.client import IncompleteRead, LineTooLong, RemoteDisconnected

from retail_pulse.measuring.deadline import seconds_left

# Each block costs some microseconds: for images of 1 and 8 MB, 128 KB take a twenty-fifth more CPU, 64 KB a fifth more.
# 256 KB take no less. With 100 threads, 192 KB are 19 MB.
_BLOCK_BYTES = 192 * 1024
# TLS returns at most one record at a time (RFC 8446, section 5.1).
_RECORD_BYTES = 16 * 1024
# A network brings an image in dozens of packets. To wake for each would cost more than all the rest: 0.9 ms of CPU per
# image of 100 KB in pieces of 8 KB, and not 0.5 ms. So a thread sleeps until many bytes have arrived, but only for a
# moment: a server that sends less than that is not silent.
_MANY_BYTES = 96 * 1024
_FEW_BYTES = 4 * 1024
_MOMENT_MILLISECONDS = 50
_LINE_END = re.compile(rb"\n")
# A blank line, with the end of the line before it.
_SECTION_END = re.compile(rb"\n\r?\n")
_NOTHING = memoryview(b"")
_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class _Buffer(threading.local):
    """What a thread receives into. New memory for each block would take more in total, and page faults."""

    def __init__(self) -> None:
        self.whole = memoryview(bytearray(_BLOCK_BYTES))


_buffer = _Buffer()


class DeadlineTLSSocket(ssl.SSLSocket):
    """A TLS socket whose handshake respects its thread's deadline, for `ssl.SSLContext.sslsocket_class`."""

    def do_handshake(self, block: bool = False) -> None:
        """Perform the TLS handshake within what is left of the deadline."""
        self.settimeout(seconds_left(self.gettimeout()))
        super().do_handshake(block)


class Stream:
    """What is sent and received on a connected socket, within the thread's deadline.

    Parameters
    ----------
    connected
        The socket. It becomes non-blocking: a time-out of its own would cost two more system calls per read.
    max_seconds
        Maximum time of each wait.
    """

    def __init__(self, connected: socket.socket, max_seconds: float) -> None:
        connected.settimeout(0)
        self._socket = connected
        self._tls = connected if isinstance(connected, ssl.SSLSocket) else None
        self._max_seconds = max_seconds
        self._block_bytes = _RECORD_BYTES if self._tls else _BLOCK_BYTES
        self._readable, self._writable = select.poll(), select.poll()
        self._readable.register(connected, select.POLLIN)
        self._writable.register(connected, select.POLLOUT)
        # What was received last, in the buffer of the thread; the bytes before `_at` have been read.
        self._data = _NOTHING
        self._at = 0

    @property
    def has_unread(self) -> bool:
        """Whether bytes were received that have not been read."""
        return self._at < len(self._data)

    @property
    def is_quiet(self) -> bool:
        """Whether nothing has arrived that was not read; the end of the connection counts too."""
        # TLS may hold decrypted bytes, of which the socket shows nothing.
        return not (self.has_unread or (self._tls and self._tls.pending()) or self._readable.poll(0))

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send all of the data."""
        while data:
            seconds_left()
            try:
                data = data[self._socket.send(data) :]
            except _WOULD_BLOCK as error:
                self._wait(self._readable if isinstance(error, ssl.SSLWantReadError) else self._writable)

    def wait_for_answer(self) -> None:
        """Wait for the first bytes of an answer.

        Raises
        ------
        RemoteDisconnected
            The server has closed the connection in place of an answer.
        """
        self._wait(self._readable)
        self._receive()
        if not self._data:
            raise RemoteDisconnected("no answer")

    def block(self, max_bytes: int, *, are_coming: bool = True) -> memoryview:
        """Return the next bytes, at least one; none at the end of the connection. They last until the next call.

        Parameters
        ----------
        are_coming
            Whether the server has announced as many bytes.
        """
        if not self.has_unread:
            self._receive(max_bytes if are_coming else 0)
        begin, self._at = self._at, self._at + max_bytes
        return self._data[begin : self._at]

    def line(self, max_bytes: int) -> bytes:
        """Return the next line with its line feed.

        Raises
        ------
        LineTooLong
            The line has more bytes than allowed.
        IncompleteRead
            The connection ended before the line did; its bytes are `partial`.
        """
        return self._through(_LINE_END, self._at, max_bytes)

    def section(self, max_bytes: int) -> bytes:
        """Return the lines after the one that was read last, up to a blank one, with the last one's line feed in front.

        Raises
        ------
        LineTooLong
            The lines have more bytes than allowed in total.
        IncompleteRead
            The connection ended before a blank line.
        """
        return self._through(_SECTION_END, self._at - 1, max_bytes + 1)

    def _through(self, end: re.Pattern[bytes], begin: int, max_bytes: int) -> bytes:
        """Return the bytes from a position up to what ends them."""
        found = end.search(self._data, begin)
        if found is None:
            return self._long(end, begin, max_bytes)
        self._at = found.end()
        if self._at - begin > max_bytes:
            raise LineTooLong("a line")
        return bytes(self._data[begin : self._at])

    def _long(self, end: re.Pattern[bytes], begin: int, max_bytes: int) -> bytes:
        """Return bytes of which only the first have arrived."""
        found, data = None, bytearray(self._data[begin:])
        while found is None and len(data) <= max_bytes:
            searched = max(0, len(data) - 2)
            self._receive()
            data += self._data
            if not self._data:
                raise IncompleteRead(bytes(data))
            found = end.search(data, searched)
        length = len(data) if found is None else found.end()
        if length > max_bytes:
            raise LineTooLong("a line")
        self._at = len(self._data) - (len(data) - length)
        return bytes(data[:length])

    def _receive(self, coming: int = 0) -> None:
        self._data, self._at = _NOTHING, 0
        buffer = _buffer.whole
        while True:
            seconds_left()
            try:
                self._data = buffer[: self._socket.recv_into(buffer, self._block_bytes)]
            except _WOULD_BLOCK as error:
                if not self._wait_for_many(coming):
                    self._wait(self._writable if isinstance(error, ssl.SSLWantWriteError) else self._readable)
            else:
                return

    def _wait_for_many(self, coming: int) -> bool:
        """Wait for a moment, until most of what is coming has arrived or the connection has ended; return whether."""
        # OpenSSL may hold some of it: a record that has not wholly arrived.
        many = min(coming - (2 * _RECORD_BYTES if self._tls else 0), _MANY_BYTES)
        if many < _FEW_BYTES:
            return False
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, many)
        try:
            return bool(self._readable.poll(_MOMENT_MILLISECONDS))
        finally:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)

    def _wait(self, poll: select.poll) -> None:
        seconds = seconds_left(self._max_seconds) or 0.0
        if not poll.poll(1000 * seconds):
            raise TimeoutError("nothing was received or sent in time")
