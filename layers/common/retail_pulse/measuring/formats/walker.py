"""Walking through a file from one position of interest to the next, as its bytes arrive, without keeping the rest."""

from abc import abstractmethod
from typing import Protocol

from retail_pulse.measuring.steps import StepBudget

# Steps are counted in portions: each portion looks at the deadline.
_PORTION = 64

Size = tuple[int, int]
# A memoryview's bytes last as long as the call that it is passed to.
Block = bytes | bytearray | memoryview


class FormatReader(Protocol):
    """Finds the size of an image and the end of its file, for one format.

    Attributes
    ----------
    size
        Width and height in pixels; None until they have been read.
    """

    size: Size | None

    def feed(self, block: Block) -> None:
        """Read the next bytes of the file, from its first byte on."""

    @abstractmethod
    def is_complete(self, length: int) -> bool:
        """Return whether the file is complete, given its total length."""


class DeclaredLength:
    """Reads a file that is complete if it has at least the length that its header declares."""

    def __init__(self, size: Size, length: int) -> None:
        self.size: Size | None = size
        self._length = length

    def feed(self, block: Block) -> None:
        """Do nothing: the total length is enough."""

    def is_complete(self, length: int) -> bool:
        """Return whether the file has the declared length."""
        return length >= self._length


class Walker(FormatReader):
    """Walks through a file from one position of interest to the next, and skips the bytes between them.

    Parameters
    ----------
    position
        The first position of interest.
    budget
        What the steps are counted on.
    """

    # How many bytes the next step reads.
    reach: int

    def __init__(self, position: int, budget: StepBudget) -> None:
        self.size: Size | None = None
        self._next = position
        self._offset = 0
        self._rest = bytearray()
        self._ended = False
        self._budget = budget
        self._steps = 0

    def feed(self, block: Block) -> None:
        """Process as many steps as these bytes allow.

        Raises
        ------
        MeasuringError
            The file violates its format, or takes more steps than any real file.
        TimeoutError
            The thread's deadline has passed.
        """
        begin, self._offset = self._offset, self._offset + len(block)
        if self._ended or self._next >= self._offset:
            self._rest.clear()
            return
        data: Block
        if self._rest:
            begin -= len(self._rest)
            self._rest += block
            data = self._rest
        else:
            data = block
        while not self._ended and (at := self._next - begin) + self.reach <= len(data):
            self._steps += 1
            if self._steps % _PORTION == 0:
                self._budget.spend(_PORTION)
            self._step(data, at)
        # Less than a step's reach is kept for the next block.
        if self._ended or self._next >= self._offset:
            self._rest = bytearray()
        elif data is self._rest:
            del self._rest[: self._next - begin]
        else:
            self._rest = bytearray(data[self._next - begin :])

    @abstractmethod
    def _step(self, data: Block, at: int) -> None:
        """Read the position of interest, at ``data[at]``, and set the next one."""
