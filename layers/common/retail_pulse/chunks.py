"""Chunks: the unit of delivery, of storage and of retry. Cutting a job into them, and judging them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from retail_pulse.outcomes import Failure, Measured, Outcome
from retail_pulse.retries import Tries
from retail_pulse.visits import Visit, VisitPart, VisitRow

# What DynamoDB adds to the texts of a part and of a URL: attribute names, list overhead, the small numbers.
_PART_OVERHEAD_BYTES = 48
_URL_OVERHEAD_BYTES = 4


class Scope(StrEnum):
    """Which failed images a run tries again: all of them, or the soft ones, whose reason may pass."""

    ALL = "all"
    SOFT = "soft"

    def includes(self, failure: Failure) -> bool:
        """Tell whether a run of this scope tries an image again that failed so."""
        return self is Scope.ALL or failure.may_pass


@dataclass(frozen=True, slots=True)
class Image:
    """One URL of one visit. ``index`` is its position in the chunk, ``image`` its position in the visit, from 0."""

    index: int
    visit: int
    image: int
    store_id: str
    visit_time: str
    url: str


@dataclass(frozen=True, slots=True)
class ChunkKey:
    """Where a chunk is: the nonce of the submit attempt that stored it, and its number within the job, from 0."""

    nonce: str
    number: int


@dataclass(frozen=True, slots=True)
class Pointer:
    """What a message of the queue says: this chunk of this job, for this run. The table is the truth.

    Parameters
    ----------
    turn
        The chunk's turn that the message is for; None for whichever the chunk is at, as reprocess sends it.
    """

    client: str
    job_id: int
    nonce: str
    chunk: int
    run: int
    scope: Scope
    turn: int | None = 0

    @property
    def key(self) -> ChunkKey:
        """Where the chunk is."""
        return ChunkKey(self.nonce, self.chunk)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Up to 50 images of one job, with what became of them.

    Parameters
    ----------
    number
        Position within the job, from 0.
    parts
        The visit parts whose images these are, in the order of the body.
    run
        The run that the outcomes belong to, from 1.
    outcomes
        By the image's position in the chunk; an image without one is still to be measured.
    tries
        By the image's position, what was tried of images that may still be measured in this run.
    turn
        How often the rest of the chunk was handed on by a message of its own in this run, from 0. A message of an
        earlier turn has nothing left to do, so that doubled messages do not go on side by side.
    starts, starting
        How often a worker that handles the chunk alone has begun without an end: with the chunk as a whole, or with the
        image at this position.
    lease
        Until when the chunk is one worker's, in milliseconds of the epoch; 0 when it is nobody's.
    job_expires_at
        When the job ceases to exist, in seconds of the epoch; 0 before the job is stored.
    """

    number: int
    parts: Sequence[VisitPart]
    run: int = 1
    outcomes: Mapping[int, Outcome] = field(default_factory=dict)
    tries: Mapping[int, Tries] = field(default_factory=dict)
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

    @property
    def is_done(self) -> bool:
        """Whether every image has its outcome."""
        return len(self.outcomes) == self.size

    @property
    def has_failed(self) -> bool:
        """Whether an image has failed."""
        return any(isinstance(outcome, Failure) for outcome in self.outcomes.values())

    @property
    def is_soft(self) -> bool:
        """Whether an image has failed for a reason that may pass."""
        return any(isinstance(outcome, Failure) and outcome.may_pass for outcome in self.outcomes.values())

    def reopened_by(self, scope: Scope) -> list[int]:
        """Return the positions of the images that a run of this scope tries again."""
        return [
            index
            for index, outcome in sorted(self.outcomes.items())
            if isinstance(outcome, Failure) and scope.includes(outcome)
        ]

    def measured_rows(self, client: str, job_id: int) -> Iterator[VisitRow]:
        """Yield a row for each visit part whose images are all measured; its content is final in every run."""
        index = 0
        for part in self.parts:
            outcomes = [self.outcomes.get(i) for i in range(index, index + len(part.image_urls))]
            index += len(part.image_urls)
            measured = [outcome for outcome in outcomes if isinstance(outcome, Measured)]
            if len(measured) == len(outcomes):
                yield VisitRow(
                    client=client,
                    job_id=job_id,
                    visit=part.visit,
                    part=part.part,
                    parts=part.parts,
                    store_id=part.store_id,
                    visit_time=part.visit_time,
                    perimeter=sum(outcome.perimeter for outcome in measured),
                    images=len(measured),
                )


def cut(visits: Sequence[Visit], max_images: int, max_bytes: int) -> list[Chunk]:
    """Cut a job into chunks.

    Whole visits are packed together in the order of the body. A visit goes to the next chunk when the current one has
    no room for it; one that no chunk can hold is split, each part but the last as large as a chunk may be.

    Parameters
    ----------
    visits
        At least one, each with at least one image.
    max_images
        Most images of a chunk.
    max_bytes
        Most bytes of a chunk's texts with their overhead; an image that alone is larger has a chunk to itself.

    Returns
    -------
    list of Chunk
        Numbered from 0, together with every image exactly once, in the order of the body.
    """
    chunks: list[list[_Draft]] = [[]]
    room_images, room_bytes = max_images, max_bytes

    for number, visit in enumerate(visits):
        costs = [len(url.encode()) + _URL_OVERHEAD_BYTES for url in visit.image_urls]
        header = len(visit.store_id.encode()) + len(visit.visit_time.encode()) + _PART_OVERHEAD_BYTES
        if chunks[-1] and (len(costs) > room_images or header + sum(costs) > room_bytes):
            chunks.append([])
            room_images, room_bytes = max_images, max_bytes
        start = 0
        while start < len(costs):
            end, spent = start, header
            while end < len(costs) and end - start < room_images and (spent + costs[end] <= room_bytes or end == start):
                spent += costs[end]
                end += 1
            chunks[-1].append(_Draft(number, start, end))
            room_images -= end - start
            room_bytes -= spent
            start = end
            if start < len(costs):
                chunks.append([])
                room_images, room_bytes = max_images, max_bytes

    parts_of = [0] * len(visits)
    for draft in (draft for chunk in chunks for draft in chunk):
        parts_of[draft.visit] += 1
    seen = [0] * len(visits)
    result = []
    for chunk_number, drafts in enumerate(chunks):
        parts = []
        for draft in drafts:
            visit = visits[draft.visit]
            seen[draft.visit] += 1
            parts.append(
                VisitPart(
                    visit=draft.visit,
                    part=seen[draft.visit],
                    parts=parts_of[draft.visit],
                    first_image=draft.start,
                    store_id=visit.store_id,
                    visit_time=visit.visit_time,
                    image_urls=visit.image_urls[draft.start : draft.end],
                )
            )
        result.append(Chunk(chunk_number, parts))
    return result


@dataclass(frozen=True, slots=True)
class _Draft:
    visit: int
    start: int
    end: int
