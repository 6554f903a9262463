"""A budget of steps per image: what a file may cost to read depends on what was sent, not on what it inflates to.

A step is what takes some half a microsecond: a segment, chunk or box of a file, or several smaller parts.
"""

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.measuring.deadline import seconds_left

# Real files have some hundred parts; a GIF of 5,000 frames has 25,000. All of these steps take less than 20 ms of CPU.
FREE_STEPS = 30_000
# One more step for so many bytes that were sent: a fifth of what it costs to download them.
BYTES_PER_STEP = 1_024


class StepBudget:
    """Counts the steps of reading one image, and stops beyond the budget and beyond the deadline."""

    def __init__(self) -> None:
        self._received = 0
        # In bytes, so that nothing is lost by division.
        self._left = FREE_STEPS * BYTES_PER_STEP

    def received(self, count: int) -> None:
        """Allow more steps for so many bytes that were sent, before any decompression."""
        self._received += count
        self._left += count

    def spend(self, steps: int) -> None:
        """Count steps: a loop over a table calls it once before it starts, any other one for each few dozen steps.

        Raises
        ------
        MeasuringError
            The file takes more steps than a real one with as many bytes.
        TimeoutError
            The thread's deadline has passed.
        """
        self._left -= steps * BYTES_PER_STEP
        if self._left < 0:
            allowed = FREE_STEPS + self._received // BYTES_PER_STEP
            raise MeasuringError(FailureCode.NOT_AN_IMAGE, f"the file takes more than {allowed:,} steps to read")
        seconds_left()
