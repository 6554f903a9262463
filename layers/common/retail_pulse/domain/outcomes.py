"""The outcome of an image: measured, or failed."""

from dataclasses import dataclass

from retail_pulse.domain.failures import FailureCode, MeasuringError


@dataclass(frozen=True, slots=True)
class Measured:
    """The size of an image.

    Parameters
    ----------
    format
        ``JPEG``, ``PNG``, ``GIF``, ``BMP``, ``TIFF``, ``WEBP``, …
    width, height
        In pixels, as stored. An EXIF orientation may swap them, which does not change the perimeter.
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
    """Why an image could not be measured. ``is_transient`` says whether a later run may succeed."""

    code: FailureCode
    message: str
    is_transient: bool

    @classmethod
    def of(cls, error: MeasuringError) -> "Failure":
        """Return the failure that an error describes."""
        return cls(error.code, error.message, error.is_transient)


Outcome = Measured | Failure
