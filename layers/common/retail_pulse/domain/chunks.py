"""Chunks: the unit of delivery, of storage and of retry. How a job is cut into them, and how they are judged."""

import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

from retail_pulse.domain.outcomes import Failure, Measured, Outcome
from retail_pulse.domain.retries import Attempts
from retail_pulse.domain.visits import Visit, VisitPart, VisitRow

# What storage as JSON adds to a part and to a text: brackets and numbers; quotes and a comma.
_PART_OVERHEAD_BYTES = 48
_TEXT_OVERHEAD_BYTES = 3
# Maximum delay of a message: a limit of SQS.
MAX_DELAY_SECONDS = 900
# After so many turns in a chain of messages, the next sweep starts a new one. Lambda's own guard, which would end a
# chain after 16 invocations, is off: several hosts that are down take 20 to 44.
MAX_TURNS_IN_A_CHAIN = 100
_quoted = json.JSONEncoder(ensure_ascii=False).encode


class Scope(StrEnum):
    """Which failed images a run retries: all of them, or only those with transient failures."""

    ALL = "all"
    TRANSIENT = "transient"

    def includes(self, failure: Failure) -> bool:
        """Return whether a run of this scope retries an image with this failure."""
        return self is Scope.ALL or failure.is_transient


@dataclass(frozen=True, slots=True)
class Image:
    """One URL of one visit. ``index`` is its position in the chunk, ``image`` its position in the visit, from 0."""

    index: int
    visit: int
    image: int
    store_id: str
    visit_time: str
    url: str


class ChunkKey(NamedTuple):
    """The key of a chunk: the nonce of the submit attempt that stored it, and its number within the job, from 0."""

    nonce: str
    number: int


class Pointer(NamedTuple):
    """The content of a message: a chunk of a job, and the run that it is for. The table is the source of truth.

    ``turn`` is the chunk's turn that the message is for; None, as reprocess sends it, is the turn that the chunk is at.
    ``chunks`` is how many chunks the job has; 0 in a message of an earlier version, which did not say it.
    """

    client: str
    job_id: int
    nonce: str
    chunk: int
    run: int
    scope: Scope
    turn: int | None = 0
    chunks: int = 0

    @property
    def key(self) -> ChunkKey:
        """The chunk's key."""
        return ChunkKey(self.nonce, self.chunk)

    @property
    def for_log(self) -> dict[str, object]:
        """The fields of log lines that are about the chunk."""
        return {"client": self.client, "job_id": self.job_id, "chunk": self.chunk}


@dataclass(frozen=True, slots=True)
class Chunk:
    """Up to 50 images of one job, with their outcomes.

    Parameters
    ----------
    number
        Position within the job, from 0.
    parts
        The visit parts whose images these are, in the order of the body.
    run
        The run that the outcomes belong to, from 1.
    outcomes
        By the image's position in the chunk; an image without an outcome is open.
    attempts
        By the image's position: the failed attempts of open images, in this run and in earlier ones.
    turn
        How often the rest of the chunk was requeued by a new message in this run, from 0. A message of an earlier turn
        has nothing left to do, so duplicates are not processed in parallel.
    starts, starting
        How often a worker that has the chunk exclusively has started and not finished, and the position of the image
        that it started; None for the chunk as a whole.
    lease
        Until when one worker has the chunk exclusively, in milliseconds of the epoch; 0 without such a worker.
    job_expires_at
        When the job ceases to exist, in seconds of the epoch; 0 before the job is stored.
    """

    number: int
    parts: Sequence[VisitPart]
    run: int = 1
    outcomes: Mapping[int, Outcome] = field(default_factory=dict)
    attempts: Mapping[int, Attempts] = field(default_factory=dict)
    turn: int = 0
    starts: int = 0
    starting: int | None = None
    lease: int = 0
    job_expires_at: int = 0

    def images(self) -> Iterator[Image]:
        """Yield the images in the order of the body."""
        index = 0
        for part in self.parts:
            for offset, url in enumerate(part.image_urls):
                yield Image(index, part.visit, part.first_image + offset, part.store_id, part.visit_time, url)
                index += 1

    @property
    def size(self) -> int:
        """Number of images."""
        return sum(len(part.image_urls) for part in self.parts)

    def open_images(self) -> Iterator[Image]:
        """Yield the images that have no outcome, in the order of the body."""
        return (image for image in self.images() if image.index not in self.outcomes)

    def message_delay(self, now: float) -> int:
        """Return the delay, in seconds, of the message that comes when the first open image may be attempted."""
        waits = (
            self.attempts[image.index].not_before - now if image.index in self.attempts else 0.0
            for image in self.open_images()
        )
        return min(MAX_DELAY_SECONDS, max(0, math.ceil(min(waits))))

    @property
    def ends_its_chain(self) -> bool:
        """Whether its turn has no message of its own, so that the chain of messages is bounded."""
        return self.turn > 0 and self.turn % MAX_TURNS_IN_A_CHAIN == 0

    @property
    def is_done(self) -> bool:
        """Whether every image has its outcome."""
        return len(self.outcomes) == self.size

    @property
    def has_failed(self) -> bool:
        """Whether an image has failed."""
        return bool(self.reopened_by(Scope.ALL))

    @property
    def has_transient_failure(self) -> bool:
        """Whether an image has a transient failure."""
        return bool(self.reopened_by(Scope.TRANSIENT))

    def attempts_after_reopening(self, images: Collection[int]) -> dict[int, Attempts]:
        """Return the attempts of earlier runs at images that the next run retries, by position."""
        outcomes = {index: self.outcomes.get(index) for index in sorted(images)}
        return {
            index: Attempts.after_run(outcome)
            for index, outcome in outcomes.items()
            if isinstance(outcome, Failure) and outcome.attempts
        }

    def reopened_by(self, scope: Scope) -> list[int]:
        """Return the positions of the images that a run of this scope retries."""
        return [
            index
            for index, outcome in sorted(self.outcomes.items())
            if isinstance(outcome, Failure) and scope.includes(outcome)
        ]

    def measured_rows(self, client: str, job_id: int) -> Iterator[VisitRow]:
        """Yield a row for each visit part whose images are all measured; later runs do not change it."""
        index = 0
        for part in self.parts:
            outcomes = [self.outcomes.get(i) for i in range(index, index + len(part.image_urls))]
            index += len(part.image_urls)
            measured = [outcome for outcome in outcomes if isinstance(outcome, Measured)]
            if len(measured) == len(outcomes):
                of_visit = (part.visit, part.part, part.parts, part.store_id, part.visit_time)
                perimeter = sum(outcome.perimeter for outcome in measured)
                yield VisitRow(client, job_id, *of_visit, perimeter, len(measured))


def cut(visits: Sequence[Visit], max_images: int, max_bytes: int) -> list[Chunk]:
    """Cut a job into chunks.

    Whole visits are packed together in the order of the body. A visit goes to the next chunk when the current one has
    no room for it. A visit that no chunk can hold is split; each part but the last is as large as a chunk may be.

    Parameters
    ----------
    visits
        At least one, each with at least one image.
    max_images
        Maximum number of images per chunk.
    max_bytes
        Maximum size of a chunk's texts with their overhead, in bytes; an image that is larger has a chunk to itself.

    Returns
    -------
    list of Chunk
        Numbered from 0; together they have every image exactly once, in the order of the body.
    """
    chunks: list[list[VisitPart]] = [[]]
    room_images, room_bytes = max_images, max_bytes

    for number, visit in enumerate(visits):
        urls = visit.image_urls
        whole = _PART_OVERHEAD_BYTES + _stored_bytes(visit.store_id, visit.visit_time, *urls)
        if chunks[-1] and (len(urls) > room_images or whole > room_bytes):
            chunks.append([])
            room_images, room_bytes = max_images, max_bytes
        if len(urls) <= room_images and whole <= room_bytes:
            chunks[-1].append(VisitPart(number, 1, 1, 0, visit.store_id, visit.visit_time, urls))
            room_images -= len(urls)
            room_bytes -= whole
            continue
        header = _PART_OVERHEAD_BYTES + _stored_bytes(visit.store_id, visit.visit_time)
        ends, left = _split([_stored_bytes(url) for url in urls], header, max_images, max_bytes)
        for part, (start, end) in enumerate(pairwise([0, *ends]), 1):
            if part > 1:
                chunks.append([])
            chunks[-1].append(
                VisitPart(number, part, len(ends), start, visit.store_id, visit.visit_time, urls[start:end])
            )
        room_images, room_bytes = max_images - (len(urls) - start), left
    return [Chunk(number, parts) for number, parts in enumerate(chunks)]


def _split(costs: Sequence[int], header: int, max_images: int, max_bytes: int) -> tuple[list[int], int]:
    """Return where the parts of a visit end that no chunk can hold, and the bytes that are left after the last one."""
    ends: list[int] = []
    start, left = 0, max_bytes - header
    for end, cost in enumerate(costs):
        # An image that is larger than a chunk has one to itself.
        if end > start and (end - start == max_images or cost > left):
            ends.append(end)
            start, left = end, max_bytes - header
        left -= cost
    return [*ends, len(costs)], left


def _stored_bytes(*texts: str) -> int:
    """Return the bytes of texts in JSON, with quotes, commas and escapes: a control character has six bytes there."""
    return len(_quoted("".join(texts)).encode()) - 2 + _TEXT_OVERHEAD_BYTES * len(texts)
