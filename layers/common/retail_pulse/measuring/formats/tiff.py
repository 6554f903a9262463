"""TIFF and BigTIFF: their directories may be anywhere, mostly at the end, so the file has to be kept."""

import re
import tempfile
import threading

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.measuring.formats.tiff_directories import Directories, EndsEarlyError
from retail_pulse.measuring.formats.walker import Size
from retail_pulse.measuring.steps import StepBudget

# Per file, in memory; the rest is on disk.
_MEMORY_BYTES = 128 * 1024
# For all files at once. Lambda has 512 MB in /tmp.
_MAX_BUFFERED_BYTES = 384 * 1024 * 1024

# Raw photos without the real size in a directory, by their bytes from the eighth on: Canon's CR2, Phase One's IIQ.
_RAW_MARK = re.compile(rb"CR\x02|IIII.waR|MMMMRaw", re.DOTALL)


class _Budget:
    """Bounds the bytes that all readers of a process buffer together."""

    def __init__(self) -> None:
        self._reserved = 0
        self._lock = threading.Lock()

    def reserve(self, count: int) -> None:
        with self._lock:
            if self._reserved + count > _MAX_BUFFERED_BYTES:
                raise _no_space()
            self._reserved += count

    def release(self, count: int) -> None:
        with self._lock:
            self._reserved -= count


_budget = _Budget()


class TiffReader:
    """Reads a TIFF, which is complete if all directories, and all that their pictures need, end within the file.

    See TIFF 6.0, sections 2, 8 and 15. Close the reader: the file is kept in a temporary one.
    """

    def __init__(self, head: bytes, budget: StepBudget) -> None:
        if _RAW_MARK.match(head, 8):
            raise MeasuringError(FailureCode.UNSUPPORTED_FORMAT, "raw photos in CR2 or IIQ are not supported")
        self._steps = budget
        self.size: Size | None = None
        self._reserved = 0
        self._file = tempfile.SpooledTemporaryFile(max_size=_MEMORY_BYTES)  # noqa: SIM115  # see close

    def feed(self, block: bytes) -> None:
        """Buffer the next bytes.

        Raises
        ------
        MeasuringError
            There is no space right now, because of other TIFFs.
        """
        _budget.reserve(len(block))
        self._reserved += len(block)
        try:
            self._file.write(block)
        except OSError as error:
            raise _no_space() from error

    def close(self) -> None:
        """Delete the buffered file."""
        self._file.close()
        _budget.release(self._reserved)
        self._reserved = 0

    def is_complete(self, length: int) -> bool:
        """Read the directories, with the size of the largest picture, and return whether the file is complete.

        Raises
        ------
        MeasuringError
            The directories are invalid or too many, or describe only reduced copies.
        TimeoutError
            The thread's deadline has passed.
        """
        directories = Directories(self._file, length, self._steps)
        try:
            self.size = directories.read()
        except EndsEarlyError:
            return False
        return directories.end <= length


def _no_space() -> MeasuringError:
    message = "there is no space to buffer another TIFF right now"
    return MeasuringError(FailureCode.PROCESSING_ERROR, message, passing=True)
