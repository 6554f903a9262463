"""Use case: a body becomes a job (steps 1 to 3 of the write protocol)."""

import logging
import random
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from retail_pulse.chunks import Chunk, Pointer, Scope, cut
from retail_pulse.errors import JobIdTakenError, StorageUnavailableError
from retail_pulse.jobs import Job, JobStatus, job_id_at
from retail_pulse.visits import Visit

_log = logging.getLogger(__name__)

_NONCE_BYTES = 12
# 4,096 ids a millisecond and client: that so many in a row are taken means that the clock stands still.
_MAX_IDS_DRAWN = 8


class JobStore(Protocol):
    """What a submission needs of the table."""

    def put_chunks(self, nonce: str, chunks: Sequence[Chunk], job_expires_at: int) -> None:
        """Store new chunks."""

    def put_job(self, job: Job) -> None:
        """Store a new job."""


class PointerSender(Protocol):
    """What the use cases need of the queue."""

    def send(self, pointers: Sequence[Pointer], delay_seconds: int = 0) -> None:
        """Send a message for each pointer."""


@dataclass(frozen=True, slots=True)
class Submission:
    """Takes jobs in.

    Parameters
    ----------
    store, queue
        The table and the queue.
    chunk_images, chunk_bytes
        Limits of a chunk.
    retention
        How long a job is kept.
    stall
        After how long without an end reprocess looks at a job.
    now
        The clock.
    """

    store: JobStore
    queue: PointerSender
    chunk_images: int
    chunk_bytes: int
    retention: timedelta
    stall: timedelta
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def submit(self, client: str, visits: Sequence[Visit]) -> Job:
        """Take a job in.

        Parameters
        ----------
        client
            Who submits.
        visits
            At least one, each with at least one image.

        Returns
        -------
        Job
            As stored. It ends from here on, also when no message could be sent: reprocess sends what is missing.

        Raises
        ------
        StorageUnavailableError
            The table did not take it; there is no job then.
        """
        now = self.now()
        nonce = secrets.token_urlsafe(_NONCE_BYTES)
        chunks = cut(visits, self.chunk_images, self.chunk_bytes)
        expires_at = int((now + self.retention).timestamp())
        self.store.put_chunks(nonce, chunks, expires_at)
        job = self._commit(
            Job(
                client=client,
                job_id=0,
                nonce=nonce,
                status=JobStatus.ONGOING,
                open=True,
                run=1,
                scope=Scope.ALL,
                created_at=now,
                ended_at=None,
                visits=len(visits),
                images=sum(chunk.size for chunk in chunks),
                chunks=len(chunks),
                due=int((now + self.stall).timestamp()),
                expires_at=expires_at,
            )
        )
        try:
            self.queue.send([job.pointer_to(chunk.number) for chunk in chunks])
        except StorageUnavailableError as error:
            _log.warning("job %d waits for reprocess: %s", job.job_id, error)
        return job

    def _commit(self, draft: Job) -> Job:
        for _ in range(_MAX_IDS_DRAWN):
            job = replace(draft, job_id=job_id_at(self.now(), random.getrandbits(12)))
            try:
                self.store.put_job(job)
            except JobIdTakenError:
                continue  # the chunks stand: they lie under the nonce
            return job
        raise StorageUnavailableError(f"{_MAX_IDS_DRAWN} ids in a row were taken")
