"""Pages of images: rows of a job's chunks, filtered, with bounded reads per page."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from retail_pulse.domain.chunks import Chunk, ChunkKey
from retail_pulse.domain.errors import InvalidRequestError
from retail_pulse.domain.jobs import Job
from retail_pulse.domain.stores import Store
from retail_pulse.domain.text import decimal
from retail_pulse.use_cases.shown import OutcomeKind, ShownImage, shown_images

# Chunks that a page reads at most: what a filter leaves out costs as much as what it finds.
MAX_PAGE_CHUNKS = 200
# Chunks that a page reads at once when it cannot know how many of their images a filter leaves.
_FILTERED_BATCH = 20


class ChunkStore(Protocol):
    """What pages need from the table."""

    def chunks(self, keys: Collection[ChunkKey]) -> dict[ChunkKey, Chunk]: ...


class ResultRow(NamedTuple):
    """One image of a job; ``store`` is None for an unknown store."""

    job: Job
    shown: ShownImage
    store: Store | None


@dataclass(frozen=True, slots=True)
class Position:
    """A position in the order of the body: an image of a chunk. A cursor holds one."""

    chunk: int
    index: int

    def __str__(self) -> str:
        return f"{self.chunk}.{self.index}"

    @classmethod
    def parse(cls, cursor: str) -> "Position":
        """Read a cursor.

        Raises
        ------
        InvalidRequestError
            The text is not a cursor.
        """
        match [decimal(part, max_digits=6) for part in cursor.split(".")]:
            case int(chunk), int(index):
                return cls(chunk, index)
        raise InvalidRequestError("cursor must be the next_cursor of an earlier response")


class ImageFilter(NamedTuple):
    """Which images a reader wants.

    Parameters
    ----------
    outcomes
        What became of them; empty for anything.
    store_id, area
        Their store, and its area in the store master; None for any.
    """

    outcomes: frozenset[OutcomeKind] = frozenset()
    store_id: str | None = None
    area: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether it accepts every image."""
        return not self.outcomes and self.store_id is None and self.area is None

    def chunks_of(self, job: Job, first: int) -> list[int]:
        """Return the numbers of the chunks, from one on, that may hold wanted images, by what their job knows."""
        if not self.outcomes or OutcomeKind.MEASURED in self.outcomes:
            return list(range(first, job.chunks))
        # In a chunk that is done, no image is pending, and it is known whether one has failed.
        with_failed = job.failed if OutcomeKind.FAILED in self.outcomes else frozenset()
        return [number for number in range(first, job.chunks) if number in with_failed or number not in job.done]

    def accepts(self, row: ResultRow) -> bool:
        """Return whether the reader wants an image."""
        return (
            (not self.outcomes or row.shown.kind in self.outcomes)
            and self.store_id in {None, row.shown.image.store_id}
            and self.area in {None, row.store and row.store.area_code}
        )


EVERY_IMAGE = ImageFilter()


@dataclass(slots=True)
class RowPage:
    """A page that is being filled.

    Parameters
    ----------
    limit, max_bytes
        How many rows it may have, and how large they may be together; a single row may be larger.
    size_of
        Returns how many bytes a row takes in the answer.
    chunks_left
        How many chunks may still be read for it.
    """

    limit: int
    max_bytes: int
    size_of: Callable[[ResultRow], int]
    chunks_left: int = MAX_PAGE_CHUNKS
    rows: list[ResultRow] = field(default_factory=list)
    size: int = 0

    def add(self, row: ResultRow) -> bool:
        """Add a row; return whether there was room for it."""
        size = self.size + self.size_of(row)
        if len(self.rows) == self.limit or (self.rows and size > self.max_bytes):
            return False
        self.rows.append(row)
        self.size = size
        return True

    def next_batch(self, job: Job, wanted: ImageFilter) -> int:
        """Return how many chunks of a job to read next."""
        # Usually chunks hold the average number of images; if these hold fewer, more are read afterwards.
        expected = 1 + (self.limit - len(self.rows)) // max(1, job.images // job.chunks)
        return min(self.chunks_left, expected if wanted.is_open else max(expected, _FILTERED_BATCH))


@dataclass(frozen=True, slots=True)
class ImageRows:
    """Reads the rows of jobs."""

    store: ChunkStore
    find_store: Callable[[str], Store | None]

    def add_job(self, page: RowPage, job: Job, start: Position, wanted: ImageFilter) -> Position | None:
        """Add a job's rows to a page; return where the next page begins, None when the job has no more rows."""
        numbers = wanted.chunks_of(job, start.chunk)
        while numbers:
            if not page.chunks_left:
                return start if numbers[0] == start.chunk else Position(numbers[0], 0)
            batch = numbers[: page.next_batch(job, wanted)]
            page.chunks_left -= len(batch)
            for chunk in read_chunks(self.store, job, batch):
                for shown in shown_images(job, chunk):
                    if chunk.number == start.chunk and shown.image.index < start.index:
                        continue
                    row = ResultRow(job, shown, self.find_store(shown.image.store_id))
                    if wanted.accepts(row) and not page.add(row):
                        return Position(chunk.number, shown.image.index)
            numbers = numbers[len(batch) :]
        return None


def read_chunks(store: ChunkStore, job: Job, numbers: Collection[int]) -> Iterator[Chunk]:
    """Read some of a job's chunks, in order."""
    found = store.chunks([job.key_of(number) for number in numbers]) if numbers else {}
    for number in numbers:
        chunk = found.get(job.key_of(number))
        if chunk is not None:
            yield chunk
