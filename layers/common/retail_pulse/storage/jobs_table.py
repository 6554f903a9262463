"""The jobs table: every step of the write protocol as one single-item write with its condition.

The steps are numbered as in docs/architecture.md, "How a job flows". Their conditions make lost, doubled and late
messages harmless.
"""

import logging
import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING

from retail_pulse.domain.chunks import Chunk, ChunkKey
from retail_pulse.domain.errors import JobIdTakenError
from retail_pulse.domain.idempotency import Claim
from retail_pulse.domain.jobs import ChunkVerdict, Job, JobStatus, Reopening, numbers
from retail_pulse.domain.outcomes import Outcome
from retail_pulse.domain.retries import Attempts
from retail_pulse.domain.visits import VisitRow
from retail_pulse.storage import items
from retail_pulse.storage.errors import ConditionFailedError, PartlyRefusedError
from retail_pulse.storage.table import Table
from retail_pulse.storage.values import Value, expression_values

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_log = logging.getLogger(__name__)

# Due jobs that one query reads.
_DUE_PAGE = 100


class JobsTable:
    """Jobs, chunks, visit rows and claims in one table. The client needs room for sixteen connections.

    A step that returns a chunk or a job returns it as it is after the write, and None when the condition of the step
    does not hold. Every method raises `StorageUnavailableError` when DynamoDB does not accept the request, however
    often it is repeated.
    """

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self._table = Table(client, name)

    # ---------------------------------------------------------------- submit

    def put_chunks(self, nonce: str, chunks: Sequence[Chunk], job_expires_at: int) -> None:
        """Store new chunks under a nonce of this attempt (step 1)."""
        self._table.write_all(chunks, lambda chunk: items.chunk_item(nonce, chunk, job_expires_at))

    def put_job(self, job: Job) -> None:
        """Store a new job: the commit point (step 2).

        Raises
        ------
        JobIdTakenError
            The client has another job of this id.
        """
        try:
            self._table.put(items.job_item(job), "attribute_not_exists(pk)")
        except ConditionFailedError as failure:
            # When the response to a first attempt was lost, the SDK's second one finds the job of the first.
            if items.job_from(failure.item).nonce != job.nonce:
                raise JobIdTakenError(f"job {job.job_id} of {job.client} exists") from None

    def put_claim(self, claim: Claim, now: int) -> Claim:
        """Store a claim, unless its idempotency key has one that has not expired; return the one that holds."""
        condition = "attribute_not_exists(pk) OR expires_at <= :now"
        try:
            self._table.put(items.claim_item(claim), condition, expression_values(now=now))
        except ConditionFailedError as failure:
            return items.claim_from(failure.item)
        return claim

    def move_claim(self, claim: Claim, job_id: int) -> Claim:
        """Move a claim to another job id, since another submission made a job of the first one.

        Return the claim as it is now: another attempt may have moved it elsewhere.
        """
        try:
            item = self._table.update(
                items.claim_key(claim.client, claim.idempotency_key),
                "SET job_id = :new",
                expression_values(new=job_id, old=claim.job_id, hash=claim.body_hash),
                "job_id = :old AND body_hash = :hash",
                item_on_failure=True,
            )
        except ConditionFailedError as failure:
            item = failure.item
        return items.claim_from(item)

    # ---------------------------------------------------------------- process

    def chunks(self, keys: Collection[ChunkKey]) -> dict[ChunkKey, Chunk]:
        """Read any number of chunks (step 4); those that do not exist are left out."""
        found = self._table.read_all([items.chunk_key(key) for key in keys])
        return {items.chunk_key_from(item): items.chunk_from(item) for item in found}

    def reopen_chunk(self, key: ChunkKey, chunk: Chunk, run: int, images: Collection[int]) -> Chunk | None:
        """Move a chunk to a later run and remove the outcomes of images that the run retries (step 5).

        Condition: the chunk is at the run that was read.
        Its attempts become those of earlier runs.
        """
        attempts = chunk.attempts_after_reopening(images)
        earlier = {items.image_name(index): items.attempts_value(of_image) for index, of_image in attempts.items()}
        removals = ["starts", "starting", "lease", *(f"#out.{items.image_name(index)}" for index in sorted(images))]
        return self._update_chunk(
            key,
            f"SET #run = :to, #attempts = :earlier, turn = :zero REMOVE {', '.join(removals)}",
            expression_values(to=run, read=chunk.run, zero=0) | {":earlier": {"M": earlier}},
            "#run = :read",
        )

    def save_chunk(self, key: ChunkKey, run: int, outcomes: Mapping[int, Outcome]) -> Chunk | None:
        """Save outcomes of all images or of some; an image keeps the outcome that it has (step 6).

        Condition: the chunk is at this run. From here on only the returned chunk counts: it has what others saved.
        """
        sets, values = _outcome_sets(outcomes)
        return self._update_chunk(key, f"SET {', '.join(sets)}", values | expression_values(run=run), "#run = :run")

    def requeue_chunk(
        self, key: ChunkKey, chunk: Chunk, outcomes: Mapping[int, Outcome], attempts: Mapping[int, Attempts]
    ) -> Chunk | None:
        """Save the results of a turn and begin the next one (step 6, when images are still open).

        Condition: the chunk is at the run and the turn that were read.
        Outcomes and attempts are by the image's position, together of at most 50 images.
        """
        sets, values = _outcome_sets(outcomes)
        for index, of_image in sorted(attempts.items()):
            name = items.image_name(index)
            sets.append(f"#attempts.{name} = :t{name}")
            values[f":t{name}"] = items.attempts_value(of_image)
        return self._update_chunk(
            key,
            f"SET #mark = :mark, {', '.join([*sets, 'turn = :next'])} REMOVE starts, starting, lease",
            values | expression_values(run=chunk.run, turn=chunk.turn, next=chunk.turn + 1),
            "#run = :run AND turn = :turn",
        )

    def claim_exclusively(
        self, key: ChunkKey, chunk: Chunk, starting: int | None, starts: int, lease: int, now: int
    ) -> Chunk | None:
        """Lease a chunk to one worker and count the start of an image, or of the whole chunk.

        Condition: the chunk is at the run that was read, and no other worker has the lease.

        Parameters
        ----------
        chunk
            As read: its run and its own lease, which may be extended.
        starting, starts
            The image that begins, None for the whole chunk, and how often it has begun, including this time.
        lease, now
            Until when, and the time, in milliseconds of the epoch.
        """
        return self._update_chunk(
            key,
            "SET #mark = :mark, starts = :starts, lease = :lease"
            + (" REMOVE starting" if starting is None else ", starting = :starting"),
            expression_values(run=chunk.run, starts=starts, starting=starting, lease=lease, own=chunk.lease, now=now),
            "#run = :run AND (attribute_not_exists(lease) OR lease = :own OR lease <= :now)",
        )

    def put_visit_rows(self, rows: Sequence[tuple[VisitRow, int]], seconds: float) -> Collection[VisitRow]:
        """Store visit rows, each with the time its job expires at (step 7); safe to repeat.

        Return the rows that DynamoDB did not accept within so many seconds: all rows of a client's store are in one
        partition, and what one client writes there must not hold up the others.
        """
        try:
            self._table.write_all(rows, lambda row: items.visit_row_item(*row), seconds)
        except PartlyRefusedError as error:
            _log.warning("%d of %d visit rows were refused: %s", len(error.refused), len(rows), error)
            return [row for row, _ in error.refused]
        return ()

    def add_chunks(self, client: str, job_id: int, run: int, verdicts: Collection[ChunkVerdict]) -> Job | None:
        """Add chunks that have ended to their job's sets (step 8); adding one twice changes nothing.

        Condition: the job is at this run.
        """
        add, sets = _additions(verdicts)
        return self._update_job((client, job_id), add, sets | expression_values(run=run), "#run = :run")

    def close_job(self, job: Job, status: JobStatus, ended_at: datetime, due: int | None) -> Job | None:
        """End the job's run (step 9); it is swept again when it is due, or never.

        Condition: the job is open and at the run that was read.
        """
        return self._update_job(
            (job.client, job.job_id),
            "SET #status = :status, #open = :false, ended_at = :ended_at"
            + (" REMOVE due, due_shard" if due is None else ", due = :due"),
            expression_values(run=job.run, status=status, true=True, false=False, ended_at=ended_at, due=due),
            "#run = :run AND #open = :true",
        )

    def close_at_once(
        self, client: str, job_id: int, run: int, verdicts: Collection[ChunkVerdict], status: JobStatus,
        ended_at: datetime,
    ) -> Job | None:  # fmt: skip
        """Add all chunks of a job to its sets and end its run, in one update (steps 8 and 9); it is never swept again.

        Condition: the job is open and at this run.
        """
        add, sets = _additions(verdicts)
        return self._update_job(
            (client, job_id),
            f"{add} SET #status = :status, #open = :false, ended_at = :ended_at REMOVE due, due_shard",
            sets | expression_values(run=run, status=status, true=True, false=False, ended_at=ended_at),
            "#run = :run AND #open = :true",
        )

    # ---------------------------------------------------------------- reprocess and retry

    def due_jobs(self, now: int) -> Iterator[tuple[str, int]]:
        """Yield client and id of the jobs that are due, in seconds of the epoch; the oldest of a shard comes first.

        The index may lag behind, so the job itself has to be read. Shards come in random order: one that fills faster
        than the sweeps empty it does not hold up the others.
        """
        condition = "due_shard = :shard AND due <= :now"
        for shard in random.sample(range(items.DUE_SHARDS), items.DUE_SHARDS):
            values = expression_values(shard=shard, now=now)
            yield from map(items.job_key_from, self._table.query(condition, values, index="by_due", page=_DUE_PAGE))

    def claim_job(self, job: Job, due: int, wait: int) -> Job | None:
        """Claim the sweep of a due job: it is due again later (step 10).

        Condition: the run, the state and the due time are those that were read, so only one invocation succeeds.
        """
        return self._update_job(
            (job.client, job.job_id),
            "SET #mark = :mark, due = :later, #wait = :wait, done_at_sweep = :done",
            expression_values(run=job.run, open=job.open, due=job.due or 0, later=due, wait=wait, done=len(job.done)),
            "#run = :run AND #open = :open AND due = :due",
        )

    def mark_due(self, job: Job, due: int) -> None:
        """Mark an open job due now, so that a sweep sends the messages that could not be sent.

        Condition: the job is open and at the run that was read.
        """
        self._update_job(
            (job.client, job.job_id),
            "SET due = :due, #wait = :zero",
            expression_values(due=due, zero=0, run=job.run, true=True),
            "#run = :run AND #open = :true",
        )

    def reopen_job(self, job: Job, reopening: Reopening) -> Job | None:
        """Open an ended job again for some of its chunks (step 12).

        Condition: the job has ended and is at the run that was read. So its client's retries are as read, too.
        """
        return self._update_job(
            (job.client, job.job_id),
            "SET #mark = :mark, #run = :next, #scope = :scope, #open = :true, #status = :status, "
            "automatic = :automatic, due = :due, due_shard = :shard, #wait = :wait, done_at_sweep = :done"
            + (", retries = :retries, retried_at = :retried_at" if reopening.retries is not None else "")
            + " DELETE done_chunks :chunks, failed_chunks :chunks, transient_chunks :chunks"
            + (" REMOVE ended_at" if reopening.status is JobStatus.ONGOING else ""),
            expression_values(
                **asdict(reopening),
                run=job.run,
                next=job.run + 1,
                shard=items.due_shard(job.job_id),
                done=len(job.done - reopening.chunks),
                true=True,
                false=False,
            ),
            "#run = :run AND #open = :false",
        )

    # ---------------------------------------------------------------- read

    def job(self, client: str, job_id: int) -> Job | None:
        """Read a client's job; None when it does not exist."""
        item = self._table.get(items.job_key(client, job_id))
        return None if item is None else items.job_from(item)

    def _update_chunk(self, key: ChunkKey, update: str, values: Mapping[str, Value], condition: str) -> Chunk | None:
        with suppress(ConditionFailedError):
            return items.chunk_from(self._table.update(items.chunk_key(key), update, values, condition))
        return None

    def _update_job(self, key: tuple[str, int], update: str, values: Mapping[str, Value], condition: str) -> Job | None:
        with suppress(ConditionFailedError):
            return items.job_from(self._table.update(items.job_key(*key), update, values, condition))
        return None


def _additions(verdicts: Collection[ChunkVerdict]) -> tuple[str, dict[str, Value]]:
    """Write the clause that adds chunks to their job's sets, and its values; an empty set cannot be added."""
    names = ("done_chunks", "failed_chunks", "transient_chunks")
    sets = {name: chunks for name, chunks in zip(names, numbers(verdicts), strict=True) if chunks}
    return "ADD " + ", ".join(f"{name} :{name}" for name in sets), expression_values(**sets)


def _outcome_sets(outcomes: Mapping[int, Outcome]) -> tuple[list[str], dict[str, Value]]:
    """Write the clauses that save outcomes, each only where the image has none, and their values."""
    sets, values = [], {}
    for index, outcome in sorted(outcomes.items()):
        name = items.image_name(index)
        sets.append(f"#out.{name} = if_not_exists(#out.{name}, :{name})")
        values[f":{name}"] = items.outcome_value(outcome)
    return sets, values
