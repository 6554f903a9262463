"""Use cases: a job's status, its counts and its results."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from retail_pulse.domain.chunks import Image
from retail_pulse.domain.errors import JobNotFoundError
from retail_pulse.domain.failures import FailureCode
from retail_pulse.domain.jobs import Job
from retail_pulse.domain.outcomes import Failure
from retail_pulse.domain.stores import Store
from retail_pulse.use_cases.image_rows import (
    EVERY_IMAGE,
    ChunkStore,
    ImageFilter,
    ImageRows,
    Position,
    ResultRow,
    RowPage,
    read_chunks,
)
from retail_pulse.use_cases.shown import OutcomeKind, shown_images

_URL_CHARACTERS_SHOWN = 200
# The status of a failed job reads no more chunks: a client polls it, and DynamoDB reads so many with one request.
MAX_STATUS_CHUNKS = 100


class ReadingStore(ChunkStore, Protocol):
    """What reading needs from the table."""

    def job(self, client: str, job_id: int) -> Job | None: ...


class FailedStore(NamedTuple):
    """A store with an image that could not be measured, and why."""

    store_id: str
    error: str


class JobProgress(NamedTuple):
    """A job, and how many of its images and visits are ``measured``, ``failed`` and ``pending``.

    A visit is pending while one of its images is, else failed when one of them is.
    """

    job: Job
    images: Counter[OutcomeKind]
    visits: Counter[OutcomeKind]


class ResultPage(NamedTuple):
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
        for chunk in read_chunks(self.store, job, sorted(job.failed | not_done)[:MAX_STATUS_CHUNKS]):
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
        for chunk in read_chunks(self.store, job, [number for number in range(job.chunks) if number not in clean]):
            for shown in shown_images(job, chunk):
                images[shown.kind] += 1
                visit = shown.image.visit
                visits[visit] = _worse(visits.get(visit, shown.kind), shown.kind)
        of_visits = Counter(visits.values())
        images[OutcomeKind.MEASURED] += job.images - images.total()
        of_visits[OutcomeKind.MEASURED] += job.visits - of_visits.total()
        return JobProgress(job, images, of_visits)

    def results(
        self, client: str, job_id: int, start: Position, limit: int, wanted: ImageFilter = EVERY_IMAGE
    ) -> ResultPage:
        """Read a page of at most ``limit`` results, while the job runs or after its end.

        There are fewer when URLs are long, or when the filter finds no more in the chunks that a page may read.
        Only the page's chunks are read: a page costs the same in a job of any size.
        """
        job = self.job(client, job_id)
        page = RowPage(limit, self.max_bytes, self.result_size)
        next_position = ImageRows(self.store, self.find_store).add_job(page, job, start, wanted)
        return ResultPage(page.rows, next_position)


def _worse(one: OutcomeKind, other: OutcomeKind) -> OutcomeKind:
    return min(one, other, key=(OutcomeKind.PENDING, OutcomeKind.FAILED, OutcomeKind.MEASURED).index)


def _error_text(image: Image, failure: Failure, count: int) -> str:
    more = "" if count == 1 else f" (and {count - 1} more {'image' if count == 2 else 'images'})"
    if failure.code is FailureCode.UNKNOWN_STORE:
        return f"{failure.code}: {failure.message}"
    return f"{failure.code}: {failure.message}: {image.url[:_URL_CHARACTERS_SHOWN]}{more}"
