"""Files that have to be kept until they are complete, in temporary files whose sum is bounded."""

import tempfile
import threading
from collections import Counter

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.measuring.formats.walker import Block

# Per file, in memory; the rest is on disk.
_MEMORY_BYTES = 128 * 1024
# For all files at once. Lambda has 512 MB in /tmp.
_MAX_BUFFERED_BYTES = 384 * 1024 * 1024


class _Room:
    """Bounds the bytes that all threads of a process buffer together.

    A client may hold as many as are left for the others. So slow downloads of one client never fill the room.
    """

    def __init__(self) -> None:
        self._held: Counter[str] = Counter()
        self._lock = threading.Lock()

    def reserve(self, client: str, count: int) -> None:
        with self._lock:
            free = _MAX_BUFFERED_BYTES - self._held.total()
            if self._held[client] + count > free:
                raise _no_space()
            self._held[client] += count

    def release(self, client: str, count: int) -> None:
        with self._lock:
            self._held[client] -= count
            if not self._held[client]:
                del self._held[client]


_room = _Room()


class Spool:
    """Keeps a file as it arrives. Close it: the file is a temporary one.

    Attributes
    ----------
    client
        Whose file it is.
    """

    client = ""

    def __init__(self) -> None:
        self._reserved = 0
        self._file = tempfile.SpooledTemporaryFile(max_size=_MEMORY_BYTES)  # noqa: SIM115  # see close

    def feed(self, block: Block) -> None:
        """Buffer the next bytes.

        Raises
        ------
        MeasuringError
            There is no space right now, because of other files.
        """
        _room.reserve(self.client, len(block))
        self._reserved += len(block)
        try:
            self._file.write(block)
        except OSError as error:
            raise _no_space() from error

    def rewind(self) -> tempfile.SpooledTemporaryFile[bytes]:
        """Return the file, at its first byte."""
        self._file.seek(0)
        return self._file

    def close(self) -> None:
        """Delete the buffered file."""
        self._file.close()
        _room.release(self.client, self._reserved)
        self._reserved = 0


def _no_space() -> MeasuringError:
    message = "there is no space to buffer another file right now"
    return MeasuringError(FailureCode.PROCESSING_ERROR, message, passing=True, costs_attempt=False)
