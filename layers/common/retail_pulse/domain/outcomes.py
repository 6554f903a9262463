"""The outcome of an image: measured, or failed; and what a failed attempt leads to."""

from dataclasses import dataclass
from typing import NamedTuple

from retail_pulse.domain.failures import FailureCode, MeasuringError


class Measured(NamedTuple):
    """The size of an image.

    Parameters
    ----------
    format
        ``JPEG``, ``PNG``, ``GIF``, ``BMP``, ``TIFF``, ``WEBP``, …
    width, height
        In pixels, as stored; an EXIF orientation may swap them, which does not change the perimeter.
    bytes
        Length of the received file.
    """

    format: str
    width: int
    height: int
    bytes: int

    @property
    def perimeter(self) -> int:
        """Return ``2 * (height + width)``, in pixels."""
        return 2 * (self.height + self.width)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an image could not be measured.

    Parameters
    ----------
    code
        One of the published codes.
    message
        What happened, for the client; see `domain.text.client_message`.
    is_transient
        Whether a later attempt may succeed.
    attempts
        How many attempts there were at the image, in all runs; 0 when it was never requested.
    """

    code: FailureCode
    message: str
    is_transient: bool
    attempts: int = 0

    @classmethod
    def of(cls, error: MeasuringError, attempts: int = 0) -> "Failure":
        """Return the failure for an error, after so many attempts."""
        return cls(error.code, error.message, error.is_transient, attempts)


Outcome = Measured | Failure


@dataclass(frozen=True, slots=True)
class RetryInline:
    """A failed attempt is followed by another one after so many seconds, within the same invocation."""

    seconds: float


@dataclass(frozen=True, slots=True)
class LeaveOpen:
    """A failed attempt leaves the image open: a later delivery retries it."""


AfterFailure = RetryInline | LeaveOpen | Failure
