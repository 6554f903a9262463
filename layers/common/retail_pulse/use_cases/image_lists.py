"""Use case: lists a client's images over all jobs of a period, the newest job first."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import NamedTuple

from retail_pulse.domain.errors import InvalidRequestError
from retail_pulse.domain.jobs import Job
from retail_pulse.domain.periods import Period
from retail_pulse.domain.text import decimal
from retail_pulse.use_cases.image_rows import ImageFilter, ImageRows, Position, ResultRow, RowPage
from retail_pulse.use_cases.job_lists import JobListStore

# Jobs that a page reads at most: with a filter, most of them may have no chunk to read.
MAX_PAGE_JOBS = 300
# Jobs that a page reads at once: at first a few, since a single one may fill it.
_FIRST_BATCH, _LARGEST_BATCH = 4, 100
_BEGINNING = Position(0, 0)


class ImageCursor(NamedTuple):
    """A position within all images of a client: in the order of the body of a job."""

    job_id: int
    position: Position

    def __str__(self) -> str:
        return f"{self.job_id}.{self.position}"

    @classmethod
    def parse(cls, cursor: str) -> "ImageCursor":
        """Read a cursor.

        Raises
        ------
        InvalidRequestError
            The text is not a cursor.
        """
        job, _, position = cursor.partition(".")
        job_id = decimal(job, max_digits=16)
        if job_id is None:
            raise InvalidRequestError("cursor must be the next_cursor of an earlier response")
        return cls(job_id, Position.parse(position))


class ImagePage(NamedTuple):
    """Rows, the newest job first, and where the next page begins."""

    rows: list[ResultRow]
    next_cursor: ImageCursor | None


@dataclass(frozen=True, slots=True)
class ImageLists:
    """Lists images of one client at a time.

    Parameters
    ----------
    row_size
        Returns how many bytes a row takes in the answer.
    max_bytes
        Maximum size of all rows of an answer.
    """

    store: JobListStore
    rows: ImageRows
    row_size: Callable[[ResultRow], int]
    max_bytes: int
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def page(
        self, client: str, period: Period, wanted: ImageFilter, start: ImageCursor | None, limit: int
    ) -> ImagePage:
        """Read a page of at most ``limit`` images of the jobs submitted in a period.

        There are fewer when URLs are long, or when the filter finds no more in what a page may read.
        """
        page = RowPage(limit, self.max_bytes, self.row_size)
        next_cursor = None
        for job in self._jobs(client, period, start):
            if isinstance(job, int):
                next_cursor = ImageCursor(job, _BEGINNING)
                break
            begin = start.position if start is not None and start.job_id == job.job_id else _BEGINNING
            position = self.rows.add_job(page, job, begin, wanted)
            if position is not None:
                next_cursor = ImageCursor(job.job_id, position)
                break
        return ImagePage(page.rows, next_cursor)

    def _jobs(self, client: str, period: Period, start: ImageCursor | None) -> Iterator[Job | int]:
        """Yield the jobs that a page may read, newest first, and then the id of the next one, if there is one."""
        first, last = period.job_ids
        if start is not None:
            last = min(last, start.job_id)
        if first > last:
            return
        ids = (job_id for job_id, _ in self.store.listed_jobs(client, first, last, _LARGEST_BATCH))
        now = self.now()
        left, size = MAX_PAGE_JOBS, _FIRST_BATCH
        while left and (batch := list(islice(ids, min(left, size)))):
            yield from (job for job in self.store.jobs(client, batch) if not job.has_expired(now))
            left -= len(batch)
            size = min(_LARGEST_BATCH, 2 * size)
        yield from islice(ids, 1)
