"""Jobs: their ids, how they stand, and when they end."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from retail_pulse.chunks import Chunk, ChunkKey, Pointer, Scope
from retail_pulse.outcomes import Failure

# Ids count milliseconds from here, with 12 random bits behind: below 2^53 (exact in every JSON reader) until 2094.
_EPOCH = datetime(2025, 1, 1, tzinfo=UTC)
_RANDOM_BITS = 12
MAX_JOB_ID = 2**53 - 1


class JobStatus(StrEnum):
    """How a job stands, in the words of the contract."""

    ONGOING = "ongoing"
    COMPLETED = "completed"
    FAILED = "failed"


def job_id_at(time: datetime, random_bits: int) -> int:
    """Make a job id that sorts by time.

    Parameters
    ----------
    time
        Aware time of the submission.
    random_bits
        A random number; its lowest 12 bits are taken.

    Returns
    -------
    int
        Between 0 and 2**53 - 1. Two submissions of one millisecond may draw the same id.
    """
    milliseconds = int((time - _EPOCH).total_seconds() * 1000)
    return (milliseconds << _RANDOM_BITS) | (random_bits & ((1 << _RANDOM_BITS) - 1))


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
        How often the job has been (re)opened, from 1, and which failed images the last one tries again.
    visits, images, chunks
        Totals.
    done, failed, soft
        Numbers of the chunks that have ended in this run, that hold failed images, that hold soft failures.
    due
        When reprocess looks at the job, in seconds of the epoch; None for never.
    expires_at
        When the job ceases to exist, in seconds of the epoch.
    """

    client: str
    job_id: int
    nonce: str
    status: JobStatus
    open: bool
    run: int
    scope: Scope
    created_at: datetime
    ended_at: datetime | None
    visits: int
    images: int
    chunks: int
    due: int | None
    expires_at: int
    done: frozenset[int] = field(default=frozenset())
    failed: frozenset[int] = field(default=frozenset())
    soft: frozenset[int] = field(default=frozenset())

    @property
    def all_done(self) -> bool:
        """Whether every chunk has ended in this run."""
        return len(self.done) == self.chunks

    @property
    def status_at_end(self) -> JobStatus:
        """What the job ends as: failed when any chunk holds a failed image."""
        return JobStatus.FAILED if self.failed else JobStatus.COMPLETED

    def key_of(self, chunk: int) -> ChunkKey:
        """Where a chunk of this job is."""
        return ChunkKey(self.nonce, chunk)

    def pointer_to(self, chunk: int) -> Pointer:
        """Make the message that has a chunk of this job processed in its current run."""
        return Pointer(self.client, self.job_id, self.nonce, chunk, self.run, self.scope)

    def has_expired(self, now: datetime) -> bool:
        """Tell whether the job is to be treated as absent: DynamoDB's TTL deletes up to days later."""
        return self.expires_at <= now.timestamp()

    def sees_as_pending(self, chunk: Chunk, failure: Failure) -> bool:
        """Tell whether a failed image is about to be tried again.

        Chunks reopen lazily, when their pointer comes: until then a failure of an older run is still in the chunk,
        though the job's current run covers it.
        """
        return chunk.run < self.run and chunk.number not in self.done and self.scope.includes(failure)


@dataclass(frozen=True, slots=True)
class ChunkVerdict:
    """What a chunk adds to its job's sets; made from the chunk as the table returned it."""

    number: int
    failed: bool
    soft: bool

    @classmethod
    def of(cls, chunk: Chunk) -> "ChunkVerdict":
        """Judge a chunk whose images all have an outcome."""
        return cls(chunk.number, chunk.has_failed, chunk.is_soft)


def numbers(verdicts: Collection[ChunkVerdict]) -> tuple[frozenset[int], frozenset[int], frozenset[int]]:
    """Return the chunk numbers that are done, failed and soft."""
    return (
        frozenset(verdict.number for verdict in verdicts),
        frozenset(verdict.number for verdict in verdicts if verdict.failed),
        frozenset(verdict.number for verdict in verdicts if verdict.soft),
    )
