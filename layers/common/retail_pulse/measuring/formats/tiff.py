"""TIFF and BigTIFF: their directories may be anywhere, mostly at the end, so the file has to be kept."""

import re

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.measuring.formats.spool import Spool
from retail_pulse.measuring.formats.tiff_directories import Directories, EndsEarlyError
from retail_pulse.measuring.formats.walker import Size
from retail_pulse.measuring.steps import StepBudget

# Raw photos without the real size in a directory, by their bytes from the eighth on: Canon's CR2, Phase One's IIQ.
_RAW_MARK = re.compile(rb"CR\x02|IIII.waR|MMMMRaw", re.DOTALL)


class TiffReader(Spool):
    """Reads a TIFF, which is complete if all directories, and all that their pictures need, end within the file.

    See TIFF 6.0, sections 2, 8 and 15. Close the reader: the file is kept in a temporary one.
    """

    def __init__(self, head: bytes, budget: StepBudget) -> None:
        if _RAW_MARK.match(head, 8):
            raise MeasuringError(FailureCode.UNSUPPORTED_FORMAT, "raw photos in CR2 or IIQ are not supported")
        super().__init__()
        self._steps = budget
        self.size: Size | None = None

    def is_complete(self, length: int) -> bool:
        """Read the directories, with the size of the largest picture, and return whether the file is complete.

        Raises
        ------
        MeasuringError
            The directories are invalid or too many, or describe only reduced copies.
        TimeoutError
            The thread's deadline has passed.
        """
        directories = Directories(self.rewind(), length, self._steps)
        try:
            self.size = directories.read()
        except EndsEarlyError:
            return False
        return directories.end <= length
