"""Use case: a submission becomes a job (steps 1 to 3 of the write protocol), and its images are counted before."""

import random
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Protocol

from retail_pulse.domain.chunks import Chunk, Scope, cut
from retail_pulse.domain.errors import (
    IdempotencyMismatchError,
    InvalidSubmissionError,
    JobIdTakenError,
    StorageUnavailableError,
)
from retail_pulse.domain.idempotency import LIFETIME, Claim, IdempotencyKey
from retail_pulse.domain.jobs import Job, JobStatus, job_id_at, submitted_at
from retail_pulse.domain.usage import CountedImages, DailyLimitError
from retail_pulse.domain.visits import Visit
from retail_pulse.use_cases.steps import PointerSender, SendingStore, send_missing

_NONCE_BYTES = 12
# A client has 4,096 ids per millisecond: if this many in a row are taken, the clock has stopped.
_MAX_IDS_DRAWN = 8
_IDS_TAKEN = f"{_MAX_IDS_DRAWN} ids in a row were taken"
# A job's item has 400 KB, and three sets that may each hold the number of every chunk, four bytes each.
MAX_CHUNKS = 20_000
_NO_METADATA: Mapping[str, str] = MappingProxyType({})


class JobStore(SendingStore, Protocol):
    """What a submission needs from the table."""

    def put_chunks(self, nonce: str, chunks: Sequence[Chunk], job_expires_at: int) -> None: ...
    def put_job(self, job: Job) -> None: ...
    def job(self, client: str, job_id: int) -> Job | None: ...
    def put_claim(self, claim: Claim, now: int) -> Claim: ...
    def move_claim(self, claim: Claim, job_id: int) -> Claim: ...


class ImageCounter(Protocol):
    """What a submission needs from the count of its client's usage."""

    def count_images(self, client: str, images: int, limit: int | None) -> CountedImages: ...
    def give_back(self, counted: CountedImages) -> None: ...


@dataclass(frozen=True, slots=True)
class Submission:
    """Accepts jobs.

    Parameters
    ----------
    usage
        Counts the images, once per job. A crash, or a table that does not answer when the job is stored, leaves the
        images counted, since the job may exist.
    chunk_images, chunk_bytes
        Limits of a chunk.
    retention
        How long a job is kept.
    stall
        How long a job may stay open before it is swept.

    Notes
    -----
    Both ways to submit take at least one visit, each with at least one image, and return the job as stored. From then
    on it ends, even if no message could be sent: reprocess sends what is missing. Both raise `StorageUnavailableError`
    when the table refuses the job, which then does not exist. Both raise `InvalidSubmissionError` when the visits make
    more chunks than a job can have, which happens only with very small chunks. Both raise `DailyLimitError` when the
    images are more than the daily limit leaves, if there is one.
    """

    store: JobStore
    queue: PointerSender
    usage: ImageCounter
    chunk_images: int
    chunk_bytes: int
    retention: timedelta
    stall: timedelta
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def submit(
        self,
        client: str,
        visits: Sequence[Visit],
        daily_limit: int | None = None,
        metadata: Mapping[str, str] = _NO_METADATA,
    ) -> Job:
        """Accept a client's job."""
        chunks = self._cut(visits)
        counted = self._count(client, chunks, daily_limit)
        job = replace(self._store_chunks(counted, self._new_id(), visits, chunks), metadata=metadata)
        for _ in range(_MAX_IDS_DRAWN):
            if self._accept(job):
                return job
            # The chunks stay valid: their keys contain the nonce, not the id.
            job = _with_id(job, self._new_id())
        self.usage.give_back(counted)
        raise StorageUnavailableError(_IDS_TAKEN)

    def submit_once(
        self,
        client: str,
        visits: Sequence[Visit],
        idempotency: IdempotencyKey,
        daily_limit: int | None = None,
        metadata: Mapping[str, str] = _NO_METADATA,
        on_replay: Callable[[], None] = lambda: None,
    ) -> Job:
        """Accept a job, or return the one that the client has submitted under this key within a day.

        `on_replay` is called when the job is that of an earlier attempt.

        Raises
        ------
        IdempotencyMismatchError
            The key was used for another body.
        """
        chunks = self._cut(visits)
        claim = self._claim(client, idempotency)
        existing = self._job_of(claim)
        if existing is not None:
            on_replay()
            return existing
        try:
            counted = self._count(client, chunks, daily_limit)
        except DailyLimitError:
            # Another attempt at this submission may be what has used up the limit.
            existing = self._job_of(claim)
            if existing is None:
                raise
            on_replay()
            return existing
        job = replace(self._store_chunks(counted, claim.job_id, visits, chunks), metadata=metadata)
        for _ in range(_MAX_IDS_DRAWN):
            job = replace(_with_id(job, claim.job_id), idempotency_key=claim.idempotency_key)
            if self._accept(job):
                return job
            existing = self._job_of(claim)
            if existing is not None:
                # Another attempt at this submission was first, and has counted the images, too.
                self.usage.give_back(counted)
                on_replay()
                return existing
            claim = self.store.move_claim(claim, self._new_id())
        self.usage.give_back(counted)
        raise StorageUnavailableError(_IDS_TAKEN)

    def _accept(self, job: Job) -> bool:
        """Store a job and send its messages; return whether its id was free."""
        try:
            self.store.put_job(job)
        except JobIdTakenError:
            return False
        send_missing(self.store, self.queue, job, self.now())
        return True

    def _cut(self, visits: Sequence[Visit]) -> list[Chunk]:
        chunks = cut(visits, self.chunk_images, self.chunk_bytes)
        if len(chunks) > MAX_CHUNKS:
            raise InvalidSubmissionError.at(
                "visits",
                f"make {len(chunks)} chunks of at most {self.chunk_images} images; the limit is {MAX_CHUNKS}",
            )
        return chunks

    def _count(self, client: str, chunks: Sequence[Chunk], daily_limit: int | None) -> CountedImages:
        return self.usage.count_images(client, sum(chunk.size for chunk in chunks), daily_limit)

    def _store_chunks(
        self, counted: CountedImages, job_id: int, visits: Sequence[Visit], chunks: Sequence[Chunk]
    ) -> Job:
        """Store the chunks under a new nonce, and return their job, which is not stored yet."""
        now = self.now()
        nonce = secrets.token_urlsafe(_NONCE_BYTES)
        expires_at = int((now + self.retention).timestamp())
        stall_seconds = int(self.stall.total_seconds())
        try:
            self.store.put_chunks(nonce, chunks, expires_at)
        except StorageUnavailableError:
            self.usage.give_back(counted)
            raise
        return Job(
            client=counted.client,
            job_id=job_id,
            nonce=nonce,
            status=JobStatus.ONGOING,
            open=True,
            run=1,
            scope=Scope.ALL,
            created_at=submitted_at(job_id),
            visits=len(visits),
            images=counted.images,
            chunks=len(chunks),
            due=int(now.timestamp()) + stall_seconds,
            wait=stall_seconds,
            expires_at=expires_at,
        )

    def _claim(self, client: str, idempotency: IdempotencyKey) -> Claim:
        now = self.now()
        expires_at = int((now + LIFETIME).timestamp())
        wanted = Claim(client, idempotency.name, idempotency.body_hash, self._new_id(), expires_at)
        claim = self.store.put_claim(wanted, int(now.timestamp()))
        if claim.body_hash != idempotency.body_hash:
            raise IdempotencyMismatchError("this Idempotency-Key was used for another body within the last 24 hours")
        return claim

    def _job_of(self, claim: Claim) -> Job | None:
        """Return the job that a claim created; a job with its id from another submission does not count."""
        job = self.store.job(claim.client, claim.job_id)
        return job if job is not None and job.idempotency_key == claim.idempotency_key else None

    def _new_id(self) -> int:
        return job_id_at(self.now(), random.getrandbits(12))


def _with_id(job: Job, job_id: int) -> Job:
    return replace(job, job_id=job_id, created_at=submitted_at(job_id))
