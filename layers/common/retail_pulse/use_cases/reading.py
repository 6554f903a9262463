"""Use cases: a job's status, its counts and its results."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from retail_pulse.domain.chunks import Chunk, ChunkKey, Image
from retail_pulse.domain.errors import InvalidRequestError, JobNotFoundError
from retail_pulse.domain.failures import FailureCode
from retail_pulse.domain.jobs import Job
from retail_pulse.domain.outcomes import Failure
from retail_pulse.domain.stores import Store
from retail_pulse.domain.text import decimal
from retail_pulse.use_cases.shown import OutcomeKind, ShownImage, shown_images

_URL_CHARACTERS_SHOWN = 200
# The status of a failed job reads no more chunks: a client polls it, and DynamoDB reads so many with one request.
MAX_STATUS_CHUNKS = 100


class ReadingStore(Protocol):
    """What reading needs from the table."""

    def job(self, client: str, job_id: int) -> Job | None: ...
    def chunks(self, keys: Collection[ChunkKey]) -> dict[ChunkKey, Chunk]: ...


@dataclass(frozen=True, slots=True)
class FailedStore:
    """A store with an image that could not be measured, and why."""

    store_id: str
    error: str


@dataclass(frozen=True, slots=True)
class JobProgress:
    """A job, and how many of its images and visits are ``measured``, ``failed`` and ``pending``.

    A visit is pending while one of its images is, else failed when one of them is.
    """

    job: Job
    images: Counter[OutcomeKind]
    visits: Counter[OutcomeKind]


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One image of a job; ``store`` is None for an unknown store."""

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


@dataclass(frozen=True, slots=True)
class ResultPage:
    """Rows in the order of the body, and where the next page begins."""

    rows: list[ResultRow]
    next_position: Position | None


@dataclass(frozen=True, slots=True)
class Reading:
    """Reads jobs of one client at a time.

    Parameters
    ----------
    find_store
        Finds a store in the store master.
    result_size, failed_store_size
        Return how many bytes a result, or a failed store, takes in the answer.
    max_bytes
        Maximum size of all results, or of failed stores with their texts, of an answer.
    """

    store: ReadingStore
    find_store: Callable[[str], Store | None]
    result_size: Callable[[ResultRow], int]
    failed_store_size: Callable[[FailedStore], int]
    max_bytes: int
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def job(self, client: str, job_id: int) -> Job:
        """Read a job: one item, whatever the job's size.

        Raises
        ------
        JobNotFoundError
            The client has no such job, or it has expired.
        """
        job = self.store.job(client, job_id)
        if job is None or job.has_expired(self.now()):
            raise JobNotFoundError(f"job {job_id} does not exist")
        return job

    def failed_stores(self, job: Job) -> list[FailedStore]:
        """Return which stores of a failed job failed, and why, in the order of the body.

        Only the first 100 chunks are read that may hold failures, so the list may be partial. If it is too long for an
        answer, only codes are given. While the schedule's run is open, the job is still `failed`: chunks that are not
        done show their last failures.
        """
        first: dict[str, tuple[Image, Failure]] = {}
        count: Counter[str] = Counter()
        not_done = frozenset(range(job.chunks)) - job.done
        for chunk in self._chunks(job, sorted(job.failed | not_done)[:MAX_STATUS_CHUNKS]):
            for image in chunk.images():
                outcome = chunk.outcomes.get(image.index)
                if isinstance(outcome, Failure):
                    first.setdefault(image.store_id, (image, outcome))
                    count[image.store_id] += 1
        stores = [
            FailedStore(store, _error_text(image, failure, count[store])) for store, (image, failure) in first.items()
        ]
        if sum(map(self.failed_store_size, stores)) <= self.max_bytes:
            return stores
        return [FailedStore(store, failure.code.value) for store, (_, failure) in first.items()]

    def progress(self, client: str, job_id: int) -> JobProgress:
        """Count a job's images and visits.

        Only chunks that are not done or hold failures are read: in all others, every image is measured.
        """
        job = self.job(client, job_id)
        images: Counter[OutcomeKind] = Counter()
        visits: dict[int, OutcomeKind] = {}
        clean = job.done - job.failed
        for chunk in self._chunks(job, [number for number in range(job.chunks) if number not in clean]):
            for shown in shown_images(job, chunk):
                images[shown.kind] += 1
                visit = shown.image.visit
                visits[visit] = _worse(visits.get(visit, shown.kind), shown.kind)
        of_visits = Counter(visits.values())
        images[OutcomeKind.MEASURED] += job.images - images.total()
        of_visits[OutcomeKind.MEASURED] += job.visits - of_visits.total()
        return JobProgress(job, images, of_visits)

    def results(self, client: str, job_id: int, start: Position, limit: int) -> ResultPage:
        """Read a page of at most ``limit`` results, while the job runs or after its end; fewer when URLs are long.

        Only the page's chunks are read: a page costs the same in a job of any size.
        """
        job = self.job(client, job_id)
        rows: list[ResultRow] = []
        size = 0
        number, index = start.chunk, start.index
        while number < job.chunks:
            # Usually chunks hold the average number of images; if these hold fewer, the loop reads more of them.
            images_per_chunk = max(1, job.images // job.chunks)
            wanted = range(number, min(job.chunks, number + 1 + (limit - len(rows)) // images_per_chunk))
            for chunk in self._chunks(job, wanted):
                for shown in shown_images(job, chunk):
                    image = shown.image
                    if chunk.number == start.chunk and image.index < index:
                        continue
                    row = ResultRow(shown, self.find_store(image.store_id))
                    size += self.result_size(row)
                    if len(rows) == limit or (rows and size > self.max_bytes):
                        return ResultPage(rows, Position(chunk.number, image.index))
                    rows.append(row)
            number = wanted.stop
        return ResultPage(rows, None)

    def _chunks(self, job: Job, numbers: Collection[int]) -> Iterator[Chunk]:
        """Read some of a job's chunks, in order."""
        found = self.store.chunks([job.key_of(number) for number in numbers]) if numbers else {}
        for number in numbers:
            chunk = found.get(job.key_of(number))
            if chunk is not None:
                yield chunk


def _worse(one: OutcomeKind, other: OutcomeKind) -> OutcomeKind:
    return min(one, other, key=(OutcomeKind.PENDING, OutcomeKind.FAILED, OutcomeKind.MEASURED).index)


def _error_text(image: Image, failure: Failure, count: int) -> str:
    more = "" if count == 1 else f" (and {count - 1} more {'image' if count == 2 else 'images'})"
    if failure.code is FailureCode.UNKNOWN_STORE:
        return f"{failure.code}: {failure.message}"
    return f"{failure.code}: {failure.message}: {image.url[:_URL_CHARACTERS_SHOWN]}{more}"
