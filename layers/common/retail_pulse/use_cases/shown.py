"""Images as readers see them: one that is about to be retried is pending, with its attempts so far."""

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from retail_pulse.domain.chunks import Chunk, Image
from retail_pulse.domain.jobs import Job
from retail_pulse.domain.outcomes import Failure, Measured, Outcome
from retail_pulse.domain.retries import Attempts


class OutcomeKind(StrEnum):
    """What became of an image, as the API names it."""

    PENDING = "pending"
    MEASURED = "measured"
    FAILED = "failed"


class ShownImage(NamedTuple):
    """An image with what a reader sees of it.

    Parameters
    ----------
    outcome
        None while the image is pending.
    attempts
        Its failed attempts so far, in all runs; None for an image with an outcome, and for one without attempts.
    """

    image: Image
    outcome: Outcome | None
    attempts: Attempts | None

    @property
    def kind(self) -> OutcomeKind:
        """What became of the image."""
        if self.outcome is None:
            return OutcomeKind.PENDING
        return OutcomeKind.MEASURED if isinstance(self.outcome, Measured) else OutcomeKind.FAILED


def shown_images(job: Job, chunk: Chunk) -> Iterator[ShownImage]:
    """Yield a chunk's images as readers see them, in the order of the body."""
    for image in chunk.images():
        outcome = chunk.outcomes.get(image.index)
        attempts = chunk.attempts.get(image.index) if outcome is None else None
        if isinstance(outcome, Failure) and job.shows_as_pending(chunk, outcome):
            attempts = Attempts.after_run(outcome)
            outcome = None
        yield ShownImage(image, outcome, attempts)
