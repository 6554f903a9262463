"""What ends a command early, with its exit code."""

from enum import IntEnum


class ExitCode(IntEnum):
    """How a command ended."""

    FINE = 0
    FAILED_IMAGES = 1
    BAD_INPUT = 2
    NO_SERVICE = 3
    INTERRUPTED = 130


class PulseError(Exception):
    """A command cannot do what was asked for.

    Parameters
    ----------
    text
        What failed, and where, in one line.
    hint
        What to do, in one line; empty if there is nothing.
    code
        The exit code of the command.
    """

    def __init__(self, text: str, hint: str = "", *, code: ExitCode = ExitCode.BAD_INPUT) -> None:
        super().__init__(text)
        self.text = text
        self.hint = hint
        self.code = code
