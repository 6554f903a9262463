"""Use cases: how a job stands, what it counts, and its results."""

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate
from typing import Protocol

from retail_pulse.domain.chunks import Chunk, ChunkKey, Image
from retail_pulse.domain.errors import InvalidRequestError, JobNotFoundError
from retail_pulse.domain.failures import FailureCode
from retail_pulse.domain.jobs import Job
from retail_pulse.domain.outcomes import Failure, Measured, Outcome
from retail_pulse.domain.stores import Store

_URL_CHARACTERS_SHOWN = 200
# Lambda takes 6,291,456 bytes of a function's answer, in which the body stands as a text, quoted once more:
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
# What is left is for status, headers and the frame of the list.
_LARGEST_ANSWER = 6_000_000
# Field names, quotes and numbers around the texts of a failed store and of a result.
_ERROR_OVERHEAD = 40
_ROW_OVERHEAD = 350

# As the API writes a body. Lambda's runtime writes the answer around it: for Python 3.12 and newer it leaves characters
# beyond ASCII alone, for older ones it escapes them, which is never shorter.
_in_body = json.JSONEncoder(ensure_ascii=False).encode
_in_answer = json.JSONEncoder().encode


class ReadingStore(Protocol):
    """What reading needs of the table."""

    def job(self, client: str, job_id: int) -> Job | None:
        """Read a client's job."""

    def chunks(self, keys: Collection[ChunkKey]) -> dict[ChunkKey, Chunk]:
        """Read chunks."""


@dataclass(frozen=True, slots=True)
class FailedStore:
    """A store of which an image could not be measured, and why."""

    store_id: str
    error: str


@dataclass(frozen=True, slots=True)
class JobProgress:
    """A job with its counts.

    Parameters
    ----------
    images, visits
        How many are ``measured``, ``failed``, ``pending``; a visit is pending while one of its images is, else failed
        when one of them is.
    """

    job: Job
    images: Counter[str]
    visits: Counter[str]


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One image of a job. ``outcome`` is None while the image is pending; ``store`` None when nobody knows it."""

    image: Image
    store: Store | None
    outcome: Outcome | None


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the order of the body: an image of a chunk; what a cursor holds."""

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
            The text is none.
        """
        chunk, dot, index = cursor.partition(".")
        if not (dot and _is_number(chunk) and _is_number(index)):
            raise InvalidRequestError("cursor is not one that this API gave out")
        return cls(int(chunk), int(index))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 6


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
    store
        The table.
    find_store
        Looks a store up in the store master.
    now
        The clock.
    """

    store: ReadingStore
    find_store: Callable[[str], Store | None]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def job(self, client: str, job_id: int) -> Job:
        """Read a job; one item, whatever its size.

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
        """Tell which stores of a failed job failed, and why, in the order of the body.

        Where that would be too long for an answer it has codes alone, and then as many stores as there is room for.
        While a scheduled run is open, the job still says `failed`: chunks that are not done show what they last were.
        """
        first: dict[str, tuple[Image, Failure]] = {}
        count: Counter[str] = Counter()
        not_done = frozenset(range(job.chunks)) - job.done
        for chunk in self._chunks(job, sorted(job.failed | not_done)):
            for image in chunk.images():
                outcome = chunk.outcomes.get(image.index)
                if isinstance(outcome, Failure):
                    first.setdefault(image.store_id, (image, outcome))
                    count[image.store_id] += 1
        stores = [
            FailedStore(store, _error_text(image, failure, count[store])) for store, (image, failure) in first.items()
        ]
        if sum(map(_store_bytes, stores)) <= _LARGEST_ANSWER:
            return stores
        codes = [FailedStore(store, failure.code.value) for store, (_, failure) in first.items()]
        sizes = accumulate(map(_store_bytes, codes))
        return [store for store, size in zip(codes, sizes, strict=True) if size <= _LARGEST_ANSWER]

    def progress(self, client: str, job_id: int) -> JobProgress:
        """Count a job's images and visits.

        Only chunks that are not done or hold failures are read: in all others every image is measured.
        """
        job = self.job(client, job_id)
        images: Counter[str] = Counter()
        visits: dict[int, str] = {}
        clean = job.done - job.failed
        for chunk in self._chunks(job, [number for number in range(job.chunks) if number not in clean]):
            for image, outcome in _seen(job, chunk):
                kind = _kind(outcome)
                images[kind] += 1
                visits[image.visit] = _worse(visits.get(image.visit, kind), kind)
        of_visits = Counter(visits.values())
        images["measured"] += job.images - images.total()
        of_visits["measured"] += job.visits - of_visits.total()
        return JobProgress(job, images, of_visits)

    def results(self, client: str, job_id: int, start: Position, limit: int) -> ResultPage:
        """Read a page of results, while the job runs as well as after.

        Parameters
        ----------
        start
            Where the page begins.
        limit
            Most rows, at least 1; there are fewer where long URLs would make the answer too large.

        Notes
        -----
        Reads only the page's chunks: a page costs the same in a job of any size.
        """
        job = self.job(client, job_id)
        rows: list[ResultRow] = []
        size = 0
        number, index = start.chunk, start.index
        while number < job.chunks:
            # Chunks hold about as many images as they may; where they hold fewer, it goes round again.
            images_a_chunk = max(1, job.images // job.chunks)
            wanted = range(number, min(job.chunks, number + 1 + (limit - len(rows)) // images_a_chunk))
            for chunk in self._chunks(job, wanted):
                for image, outcome in _seen(job, chunk):
                    if chunk.number == start.chunk and image.index < index:
                        continue
                    row = ResultRow(image, self.find_store(image.store_id), outcome)
                    size += _row_bytes(row)
                    if len(rows) == limit or (rows and size > _LARGEST_ANSWER):
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


def _seen(job: Job, chunk: Chunk) -> Iterator[tuple[Image, Outcome | None]]:
    """Yield a chunk's images as a reader is to see them: what is about to be tried again is pending."""
    for image in chunk.images():
        outcome = chunk.outcomes.get(image.index)
        if isinstance(outcome, Failure) and job.shows_as_pending(chunk, outcome):
            outcome = None
        yield image, outcome


def _answer_bytes(*texts: str) -> int:
    """Return how long texts are within Lambda's answer: a quote has two bytes in the body, and four there."""
    return sum(len(_in_answer(_in_body(text))) for text in texts)


def _store_bytes(store: FailedStore) -> int:
    return _answer_bytes(store.store_id, store.error) + _ERROR_OVERHEAD


def _row_bytes(row: ResultRow) -> int:
    size = _answer_bytes(row.image.url, row.image.store_id, row.image.visit_time) + _ROW_OVERHEAD
    if row.store is not None:
        size += _answer_bytes(row.store.name, row.store.area_code)
    if isinstance(row.outcome, Failure):
        size += _answer_bytes(row.outcome.message)
    return size


def _kind(outcome: Outcome | None) -> str:
    if outcome is None:
        return "pending"
    return "measured" if isinstance(outcome, Measured) else "failed"


def _worse(one: str, other: str) -> str:
    return min(one, other, key=("pending", "failed", "measured").index)


def _error_text(image: Image, failure: Failure, count: int) -> str:
    more = "" if count == 1 else f" (and {count - 1} more {'image' if count == 2 else 'images'})"
    if failure.code is FailureCode.UNKNOWN_STORE:
        return f"{failure.code}: {failure.message}"
    return f"{failure.code}: {failure.message}: {image.url[:_URL_CHARACTERS_SHOWN]}{more}"
