"""Use case: a body becomes a job (steps 1 to 3 of the write protocol)."""

import random
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from retail_pulse.domain.chunks import Chunk, Scope, cut
from retail_pulse.domain.errors import (
    IdempotencyMismatchError,
    InvalidRequestError,
    JobIdTakenError,
    StorageUnavailableError,
)
from retail_pulse.domain.idempotency import LIFETIME, Claim, IdempotencyKey
from retail_pulse.domain.jobs import Job, JobStatus, job_id_at
from retail_pulse.domain.visits import Visit
from retail_pulse.use_cases.steps import PointerSender, SendingStore, send_missing

_NONCE_BYTES = 12
# 4,096 ids a millisecond and client: that so many in a row are taken means that the clock stands still.
_MAX_IDS_DRAWN = 8
# A job's item has 400 KB, and three sets that each may hold the number of every chunk, four bytes each.
MAX_CHUNKS = 20_000


class JobStore(SendingStore, Protocol):
    """What a submission needs of the table."""

    def put_chunks(self, nonce: str, chunks: Sequence[Chunk], job_expires_at: int) -> None:
        """Store new chunks."""

    def put_job(self, job: Job) -> None:
        """Store a new job."""

    def job(self, client: str, job_id: int) -> Job | None:
        """Read a client's job."""

    def put_claim(self, claim: Claim, now: int) -> Claim:
        """Claim an idempotency key."""

    def move_claim(self, claim: Claim, job_id: int) -> Claim:
        """Have a claim make another job."""


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

    def submit(self, client: str, visits: Sequence[Visit], idempotency: IdempotencyKey | None = None) -> Job:
        """Take a job in.

        Parameters
        ----------
        client
            Who submits.
        visits
            At least one, each with at least one image.
        idempotency
            What the client named the submission: within a day the same name makes no second job.

        Returns
        -------
        Job
            As stored. It ends from here on, also when no message could be sent: reprocess sends what is missing.

        Raises
        ------
        InvalidRequestError
            The visits make more chunks than a job can have; only where chunks are cut very small.
        StorageUnavailableError
            The table did not take it; there is no job then.
        IdempotencyMismatchError
            The same name came with another body.
        """
        chunks = cut(visits, self.chunk_images, self.chunk_bytes)
        if len(chunks) > MAX_CHUNKS:
            raise InvalidRequestError(
                f"visits make {len(chunks)} chunks of at most {self.chunk_images} images, "
                f"at most {MAX_CHUNKS} are taken in a job"
            )
        claim = None if idempotency is None else self._claim(client, idempotency)
        if claim is not None:
            made = self._made_by(claim)
            if made is not None:
                return made
        now = self.now()
        nonce = secrets.token_urlsafe(_NONCE_BYTES)
        expires_at = int((now + self.retention).timestamp())
        stall_seconds = int(self.stall.total_seconds())
        self.store.put_chunks(nonce, chunks, expires_at)
        job = self._commit(
            Job(
                client=client,
                job_id=self._new_id() if claim is None else claim.job_id,
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
                due=int(now.timestamp()) + stall_seconds,
                wait=stall_seconds,
                expires_at=expires_at,
                idempotency_key=None if idempotency is None else idempotency.name,
            ),
            claim,
        )
        if job.nonce == nonce:
            send_missing(self.store, self.queue, job, self.now())
        return job

    def _claim(self, client: str, idempotency: IdempotencyKey) -> Claim:
        now = self.now()
        wanted = Claim(
            client, idempotency.name, idempotency.body_hash, self._new_id(), int((now + LIFETIME).timestamp())
        )
        claim = self.store.put_claim(wanted, int(now.timestamp()))
        if claim.body_hash != idempotency.body_hash:
            raise IdempotencyMismatchError("this Idempotency-Key was used for another body within the last 24 hours")
        return claim

    def _made_by(self, claim: Claim) -> Job | None:
        """Return the job that a claim has made; one of its id that another submission has made is none."""
        job = self.store.job(claim.client, claim.job_id)
        return job if job is not None and job.idempotency_key == claim.idempotency_key else None

    def _commit(self, draft: Job, claim: Claim | None) -> Job:
        """Store the job, under another id when its own is taken; the chunks stand: they lie under the nonce.

        Returns
        -------
        Job
            The draft, or the job that another attempt of the same claim has made meanwhile.
        """
        job = draft
        for _ in range(_MAX_IDS_DRAWN):
            try:
                self.store.put_job(job)
            except JobIdTakenError:
                job_id = self._new_id()
                if claim is not None:
                    made = self._made_by(claim)
                    if made is not None:
                        return made
                    claim = self.store.move_claim(claim, job_id)
                    job_id = claim.job_id
                job = replace(job, job_id=job_id)
                continue
            return job
        raise StorageUnavailableError(f"{_MAX_IDS_DRAWN} ids in a row were taken")

    def _new_id(self) -> int:
        return job_id_at(self.now(), random.getrandbits(12))
