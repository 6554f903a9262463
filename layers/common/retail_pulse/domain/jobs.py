"""Jobs: their ids, their status, and when they end, are swept and are reopened."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from retail_pulse.domain.chunks import Chunk, ChunkKey, Pointer, Scope
from retail_pulse.domain.errors import RetriedTooSoonError, RetriesUsedUpError
from retail_pulse.domain.outcomes import Failure

# Ids count milliseconds from here, followed by 12 random bits: below 2^53 (exact in every JSON reader) until 2094.
_EPOCH = datetime(2025, 1, 1, tzinfo=UTC)
_RANDOM_BITS = 12
MAX_JOB_ID = 2**53 - 1


class JobStatus(StrEnum):
    """The status of a job, in the words of the contract."""

    ONGOING = "ongoing"
    COMPLETED = "completed"
    FAILED = "failed"

    @classmethod
    def at_end(cls, failed: Collection[int]) -> "JobStatus":
        """Return the status with which a job ends: failed when any of its chunks holds a failed image."""
        return cls.FAILED if failed else cls.COMPLETED


def job_id_at(time: datetime, random_bits: int) -> int:
    """Make a job id that sorts by time.

    Parameters
    ----------
    time
        Aware time of the submission.
    random_bits
        A random number; its lowest 12 bits are used.

    Returns
    -------
    int
        Between 0 and 2**53 - 1. Two submissions of one millisecond may draw the same id.
    """
    milliseconds = (time - _EPOCH) // timedelta(milliseconds=1)
    return (milliseconds << _RANDOM_BITS) | (random_bits & ((1 << _RANDOM_BITS) - 1))


def submitted_at(job_id: int) -> datetime:
    """Return the time of a job's submission, to the millisecond: lists find it by its id, so the two must agree."""
    return _EPOCH + timedelta(milliseconds=job_id >> _RANDOM_BITS)


@dataclass(frozen=True, slots=True)
class Job:
    """One submission, as the table holds it.

    Parameters
    ----------
    nonce
        Random text of the submit attempt; part of the keys of the job's chunks.
    open
        Whether the current run has not ended.
    run, scope
        How often the job has been (re)opened, from 1, and which failed images the current run retries.
    visits, images, chunks
        Totals.
    done, failed, transient
        Numbers of the chunks that have ended in this run, that hold failed images, that hold transient failures.
    automatic
        How many runs the schedule has opened since the client opened the job.
    due
        When the job is swept, in seconds of the epoch; None for never.
    wait
        Seconds from one sweep to the next; 0 when messages are known to be missing.
    done_at_sweep
        How many chunks had ended at the last sweep.
    expires_at
        When the job ceases to exist, in seconds of the epoch.
    idempotency_key
        The client's name for the submission; None when it has no name.
    retries, retried_at
        How often the client has retried the job, and when it last did.
    metadata
        The client's own pairs of texts; only the client reads them.
    """

    client: str
    job_id: int
    nonce: str
    status: JobStatus
    open: bool
    run: int
    scope: Scope
    created_at: datetime
    visits: int
    images: int
    chunks: int
    expires_at: int
    ended_at: datetime | None = None
    due: int | None = None
    done: frozenset[int] = frozenset()
    failed: frozenset[int] = frozenset()
    transient: frozenset[int] = frozenset()
    automatic: int = 0
    wait: int = 0
    done_at_sweep: int = 0
    idempotency_key: str | None = None
    retries: int = 0
    retried_at: datetime | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def all_done(self) -> bool:
        """Whether every chunk has ended in this run."""
        return len(self.done) == self.chunks

    @property
    def status_at_end(self) -> JobStatus:
        """The status with which the job ends."""
        return JobStatus.at_end(self.failed)

    def key_of(self, chunk: int) -> ChunkKey:
        """Return the key of a chunk of this job."""
        return ChunkKey(self.nonce, chunk)

    def pointer_to(self, chunk: int, turn: int | None = 0) -> Pointer:
        """Return the message by which a chunk of this job is processed in its current run."""
        return Pointer(self.client, self.job_id, self.nonce, chunk, self.run, self.scope, turn, self.chunks)

    @property
    def missing(self) -> list[int]:
        """Numbers of the chunks that have not ended in this run."""
        return [number for number in range(self.chunks) if number not in self.done]

    def has_expired(self, now: datetime) -> bool:
        """Return whether the job counts as absent: DynamoDB's TTL deletes up to days later."""
        return self.expires_at <= now.timestamp()

    def is_due(self, now: datetime) -> bool:
        """Return whether it is time to sweep the job."""
        return self.due is not None and self.due <= now.timestamp()

    def shows_as_pending(self, chunk: Chunk, failure: Failure) -> bool:
        """Return whether a failed image is about to be retried.

        Chunks reopen lazily, when their pointer arrives. Until then a chunk still holds a failure of an older run,
        although the job's current run retries it.
        """
        return chunk.run < self.run and chunk.number not in self.done and self.scope.includes(failure)


class ChunkVerdict(NamedTuple):
    """What a chunk adds to its job's sets, judged from the chunk as the table returned it."""

    number: int
    failed: bool
    transient: bool

    @classmethod
    def of(cls, chunk: Chunk) -> "ChunkVerdict":
        """Judge a chunk whose images all have an outcome."""
        return cls(chunk.number, chunk.has_failed, chunk.has_transient_failure)


def numbers(verdicts: Collection[ChunkVerdict]) -> tuple[frozenset[int], frozenset[int], frozenset[int]]:
    """Return the chunk numbers that are done, failed and transient."""
    return (
        frozenset(verdict.number for verdict in verdicts),
        frozenset(verdict.number for verdict in verdicts if verdict.failed),
        frozenset(verdict.number for verdict in verdicts if verdict.transient),
    )


@dataclass(frozen=True, slots=True)
class Reopening:
    """How an ended job is reopened.

    Parameters
    ----------
    chunks
        Numbers of the chunks whose images are retried.
    scope
        Which of their failed images.
    status
        The job's status during that run.
    automatic
        How many runs the schedule has opened since the client did, this one included.
    due, wait
        When the job is swept, in seconds of the epoch, and the seconds until then.
    retries, retried_at
        How often the client has retried the job, this time included, and when; None for a run of the schedule.
    """

    chunks: frozenset[int]
    scope: Scope
    status: JobStatus
    automatic: int
    due: int
    wait: int
    retries: int | None = None
    retried_at: datetime | None = None


class Need(StrEnum):
    """What a job needs from a sweep."""

    NOTHING = "nothing"
    MESSAGES = "messages"
    CLOSING = "closing"
    REOPENING = "reopening"


class SweepPolicy(NamedTuple):
    """When reprocess sweeps a job, and what the job then needs.

    Parameters
    ----------
    stall_seconds
        How long a job may stay open before it is swept; longer than the queue hides a delivered message.
    automatic_runs
        How often the schedule reopens an ended job for its transient failures, counted from the client's last opening.
    max_seconds
        Maximum time from one sweep to the next.
    """

    stall_seconds: int
    automatic_runs: int
    max_seconds: int = 3600

    def needs(self, job: Job, now: datetime) -> Need:
        """Return what a due job needs."""
        if job.has_expired(now):
            return Need.NOTHING
        if not job.open:
            return Need.REOPENING if self.may_reopen(job) else Need.NOTHING
        return Need.CLOSING if job.all_done else Need.MESSAGES

    def next_wait(self, job: Job) -> int:
        """Return the seconds until the sweep after this one: they double while no chunk has ended in between."""
        if len(job.done) > job.done_at_sweep:
            return self.stall_seconds
        return min(self.max_seconds, max(self.stall_seconds, 2 * job.wait))

    def may_reopen(self, job: Job) -> bool:
        """Return whether the schedule may reopen an ended job."""
        return bool(job.transient) and job.automatic < self.automatic_runs

    def automatic_run(self, job: Job, now: datetime) -> Reopening:
        """Return the run that retries a job's transient failures; the status stays as it was until that run ends."""
        due = int(now.timestamp()) + self.stall_seconds
        return Reopening(job.transient, Scope.TRANSIENT, job.status, job.automatic + 1, due, self.stall_seconds)

    def client_run(self, job: Job, now: datetime) -> Reopening:
        """Return the run that retries all of a job's failed images, at its client's request."""
        due = int(now.timestamp()) + self.stall_seconds
        return Reopening(
            job.failed, Scope.ALL, JobStatus.ONGOING, 0, due, self.stall_seconds, job.retries + 1, retried_at=now
        )

    def due_after_end(self, job: Job, ended_at: datetime) -> int | None:
        """Return when an ended job is due to be reopened, each time after a longer wait; None for never."""
        if not self.may_reopen(job):
            return None
        return int(ended_at.timestamp()) + min(self.max_seconds, self.stall_seconds << job.automatic)


class ClientRetryPolicy(NamedTuple):
    """How often a client may retry a job.

    Parameters
    ----------
    min_seconds
        Minimum time from one retry to the next.
    max_retries
        Maximum number of retries of a job.
    """

    min_seconds: int = 60
    max_retries: int = 10

    def check(self, job: Job, now: datetime) -> None:
        """Check that the client may retry a job now.

        Raises
        ------
        RetriesUsedUpError
            The client has retried the job as often as it may.
        RetriedTooSoonError
            The last retry was too recent.
        """
        if job.retries >= self.max_retries:
            raise RetriesUsedUpError(
                f"job {job.job_id} was retried {job.retries} times; the limit is {self.max_retries}"
            )
        if job.retried_at is None:
            return
        wait = math.ceil(self.min_seconds - (now - job.retried_at).total_seconds())
        if wait > 0:
            raise RetriedTooSoonError(
                f"job {job.job_id} may be retried every {self.min_seconds} s; retry it again in {wait} s", wait
            )
