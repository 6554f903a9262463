"""The jobs table on DynamoDB: every step of the write protocol as one single-item write with its condition.

The steps are those of DESIGN.md, section 3; their conditions are what makes lost, doubled and late messages harmless.
All reads are consistent. `UpdateItem` creates what does not exist, so that every update has a condition.
"""

import random
import secrets
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from retail_pulse.domain.chunks import Chunk, ChunkKey
from retail_pulse.domain.errors import JobIdTakenError, StorageUnavailableError
from retail_pulse.domain.idempotency import Claim
from retail_pulse.domain.jobs import ChunkVerdict, Job, JobStatus, Reopening, numbers
from retail_pulse.domain.outcomes import Outcome
from retail_pulse.domain.retries import Attempts
from retail_pulse.domain.times import rfc3339
from retail_pulse.domain.visits import VisitRow
from retail_pulse.storage import items
from retail_pulse.storage.backoff import full_jitter
from retail_pulse.storage.errors import ConditionFailedError, ThrottledError, storage
from retail_pulse.storage.values import Item, Key, number, number_set

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_T = TypeVar("_T")
_V = TypeVar("_V")

# Limits of the service: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
_WRITE_BATCH = 25
_READ_BATCH = 100
# Due jobs that one query reads.
_DUE_PAGE = 100
# Of the mark of a signed update: enough that no two updates of one item share it.
_MARK_BYTES = 6
# Batches that are together still not taken after this long are given up: a client waits for the answer, at most 30 s.
_BATCHES_SECONDS = 12.0
# Batches at once. A connection each; see `aws.dynamodb`.
_BATCHES_AT_ONCE = 16


class JobsTable:
    """The one table, for every function.

    Parameters
    ----------
    client
        A DynamoDB client with room for sixteen connections.
    name
        The table's name.

    Notes
    -----
    Every method raises `StorageUnavailableError` when DynamoDB does not take the request, however often it is repeated.
    """

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self._client = client
        self._name = name
        self._pool = ThreadPoolExecutor(_BATCHES_AT_ONCE, thread_name_prefix="dynamodb")

    # ---------------------------------------------------------------- submit

    def put_chunks(self, nonce: str, chunks: Sequence[Chunk], job_expires_at: int) -> None:
        """Store new chunks under a nonce of this attempt (step 1)."""
        self._write(chunks, lambda chunk: items.chunk_item(nonce, chunk, job_expires_at))

    def put_job(self, job: Job) -> None:
        """Store a new job: the commit point (step 2).

        Raises
        ------
        JobIdTakenError
            The client has another job of this id.
        """
        try:
            with storage():
                self._client.put_item(
                    TableName=self._name,
                    Item=items.job_item(job),
                    ConditionExpression="attribute_not_exists(pk)",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
        except ConditionFailedError as failure:
            # The answer to a first try may have been lost and the SDK have tried again: then the job found is this one.
            if items.job_from(failure.item).nonce != job.nonce:
                raise JobIdTakenError(f"job {job.job_id} of {job.client} exists") from None

    def put_claim(self, claim: Claim, now: int) -> Claim:
        """Claim an idempotency key, unless it is claimed; an expired claim counts as none.

        Returns
        -------
        Claim
            The one that holds: the given one, or an earlier one.
        """
        try:
            with storage():
                self._client.put_item(
                    TableName=self._name,
                    Item=items.claim_item(claim),
                    ConditionExpression="attribute_not_exists(pk) OR expires_at <= :now",
                    ExpressionAttributeValues={":now": number(now)},
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
        except ConditionFailedError as failure:
            return items.claim_from(failure.item)
        return claim

    def move_claim(self, claim: Claim, job_id: int) -> Claim:
        """Have a claim make another job, since its id belongs to one that it has not made.

        Returns
        -------
        Claim
            As it is now; another attempt may have moved it elsewhere.
        """
        try:
            with storage():
                answer = self._client.update_item(
                    TableName=self._name,
                    Key=items.claim_key(claim.client, claim.idempotency_key),
                    UpdateExpression="SET job_id = :new",
                    ConditionExpression="job_id = :old AND body_hash = :hash",
                    ExpressionAttributeValues={
                        ":new": number(job_id),
                        ":old": number(claim.job_id),
                        ":hash": {"S": claim.body_hash},
                    },
                    ReturnValues="ALL_NEW",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
        except ConditionFailedError as failure:
            return items.claim_from(failure.item)
        return items.claim_from(answer["Attributes"])

    # ---------------------------------------------------------------- process

    def chunks(self, keys: Collection[ChunkKey]) -> dict[ChunkKey, Chunk]:
        """Read chunks, of any number (step 4); those that do not exist are left out."""
        found = self._read([items.chunk_key(key) for key in keys])
        return {items.chunk_key_from(item): items.chunk_from(item) for item in found}

    def reopen_chunk(self, key: ChunkKey, chunk: Chunk, run: int, images: Collection[int]) -> Chunk | None:
        """Take a chunk to a later run and remove the outcomes of images that it tries again (step 5).

        Returns
        -------
        Chunk or None
            The chunk as it is now; None when it was no longer at the run that was read.
        """
        names = {"#run": "run", "#attempts": "attempts"} | ({"#out": "out"} if images else {})
        removals = ["starts", "starting", "lease", *(f"#out.{items.image_name(index)}" for index in sorted(images))]
        return self._update_chunk(
            key,
            f"SET #run = :to, #attempts = :none, turn = :zero REMOVE {', '.join(removals)}",
            names,
            {":to": number(run), ":read": number(chunk.run), ":none": {"M": {}}, ":zero": number(0)},
            condition="#run = :read",
        )

    def save_chunk(self, key: ChunkKey, run: int, outcomes: Mapping[int, Outcome]) -> Chunk | None:
        """Save outcomes, of all images or of some; an image keeps the outcome that it has (step 6).

        Returns
        -------
        Chunk or None
            The chunk as it is now, with what others saved: from here on only this counts. None when the chunk is no
            longer at this run.
        """
        sets, values = _outcome_sets(outcomes)
        return self._update_chunk(
            key,
            "SET " + ", ".join(sets),
            {"#run": "run", "#out": "out"},
            values | {":run": number(run)},
            condition="#run = :run",
        )

    def requeue_chunk(
        self, key: ChunkKey, chunk: Chunk, outcomes: Mapping[int, Outcome], attempts: Mapping[int, Attempts]
    ) -> Chunk | None:
        """Save what a turn came to, and begin the next one (step 6, when images are still open).

        Parameters
        ----------
        chunk
            As read: its run and turn are those that the table must still be at.
        outcomes, attempts
            By the image's position; together of at most 50 images.

        Returns
        -------
        Chunk or None
            The chunk as it is now, for whose turn a message is to be sent; None when it is at another run or turn, so
            that nothing was saved.
        """
        sets, values = _outcome_sets(outcomes)
        for index, tried in sorted(attempts.items()):
            name = items.image_name(index)
            sets.append(f"#attempts.{name} = :t{name}")
            values[f":t{name}"] = items.attempts_value(tried)
        names = (
            {"#run": "run"} | ({"#out": "out"} if outcomes else {}) | ({"#attempts": "attempts"} if attempts else {})
        )
        return self._update_chunk(
            key,
            "SET " + ", ".join([*sets, "turn = :next"]) + " REMOVE starts, starting, lease",
            names,
            values | {":run": number(chunk.run), ":turn": number(chunk.turn), ":next": number(chunk.turn + 1)},
            condition="#run = :run AND turn = :turn",
            signed=True,
        )

    def claim_exclusively(
        self, key: ChunkKey, chunk: Chunk, starting: int | None, starts: int, lease: int, now: int
    ) -> Chunk | None:
        """Lease a chunk to one worker, and count that it begins.

        Parameters
        ----------
        chunk
            As read: its run and its own lease, which may go on.
        starting, starts
            The image that begins, None for the whole chunk, and how often it has begun, this time included.
        lease, now
            Until when, and the time, in milliseconds of the epoch.

        Returns
        -------
        Chunk or None
            The chunk as it is now; None when another worker has the lease or the chunk is at another run.
        """
        values = {":run": number(chunk.run), ":starts": number(starts), ":lease": number(lease), ":now": number(now)}
        values[":own"] = number(chunk.lease)
        sets = "SET starts = :starts, lease = :lease"
        if starting is None:
            update = sets + " REMOVE starting"
        else:
            update = sets + ", starting = :starting"
            values[":starting"] = number(starting)
        return self._update_chunk(
            key,
            update,
            {"#run": "run"},
            values,
            condition="#run = :run AND (attribute_not_exists(lease) OR lease = :own OR lease <= :now)",
            signed=True,
        )

    def put_visit_rows(self, rows: Sequence[tuple[VisitRow, int]]) -> None:
        """Store visit rows, each with the time its job expires at (step 7); safe to repeat."""
        self._write(rows, lambda row: items.visit_row_item(*row))

    def add_chunks(self, client: str, job_id: int, run: int, verdicts: Collection[ChunkVerdict]) -> Job | None:
        """Add chunks that have ended to their job's sets (step 8); adding one twice changes nothing.

        Returns
        -------
        Job or None
            The job as it is now; None when it is no longer at this run.
        """
        sets = zip(("done_chunks", "failed_chunks", "transient_chunks"), numbers(verdicts), strict=True)
        members = {name: number_set(chunks) for name, chunks in sets if chunks}
        return self._update_job(
            client,
            job_id,
            "ADD " + ", ".join(f"{name} :{name}" for name in members),
            {"#run": "run"},
            {":run": number(run)} | {f":{name}": value for name, value in members.items()},
            condition="#run = :run",
        )

    def close_job(self, job: Job, status: JobStatus, ended_at: datetime, due: int | None) -> Job | None:
        """End the job's run (step 9); reprocess looks at it again when it is due, or never.

        Returns
        -------
        Job or None
            The job as it is now; None when it was closed already or is at another run.
        """
        values = {
            ":status": {"S": status},
            ":false": {"BOOL": False},
            ":true": {"BOOL": True},
            ":ended_at": {"S": rfc3339(ended_at)},
            ":run": number(job.run),
        }
        sets = "SET #status = :status, #open = :false, ended_at = :ended_at"
        if due is None:
            update = sets + " REMOVE due, due_shard"
        else:
            update = sets + ", due = :due"
            values[":due"] = number(due)
        return self._update_job(
            job.client,
            job.job_id,
            update,
            {"#status": "status", "#open": "open", "#run": "run"},
            values,
            condition="#run = :run AND #open = :true",
        )

    # ---------------------------------------------------------------- reprocess and retry

    def due_jobs(self, now: int) -> Iterator[tuple[str, int]]:
        """Yield client and id of the jobs that are due, the oldest of a shard first, from a shard drawn by lot.

        The index may be behind: the job itself has to be read. The lot keeps a shard that fills faster than reprocess
        empties it from holding up all others.

        Parameters
        ----------
        now
            Seconds of the epoch.
        """
        for shard in random.sample(range(items.DUE_SHARDS), items.DUE_SHARDS):
            request: Any = {
                "TableName": self._name,
                "IndexName": "by_due",
                "KeyConditionExpression": "due_shard = :shard AND due <= :now",
                "ExpressionAttributeValues": {":shard": number(shard), ":now": number(now)},
                "Limit": _DUE_PAGE,
            }
            while True:
                with storage():
                    answer = self._client.query(**request)
                yield from map(items.job_key_from, answer["Items"])
                if "LastEvaluatedKey" not in answer:
                    break
                request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def claim_job(self, job: Job, due: int, wait: int) -> Job | None:
        """Claim the look at a due job: it is due again later (step 10).

        Returns
        -------
        Job or None
            The job as it is now; None when another invocation has claimed it, or it has gone on by itself.
        """
        return self._update_job(
            job.client,
            job.job_id,
            "SET due = :later, #wait = :wait, done_at_sweep = :done",
            {"#run": "run", "#open": "open", "#wait": "wait"},
            {
                ":later": number(due),
                ":wait": number(wait),
                ":done": number(len(job.done)),
                ":run": number(job.run),
                ":open": {"BOOL": job.open},
                ":due": number(job.due or 0),
            },
            condition="#run = :run AND #open = :open AND due = :due",
            signed=True,
        )

    def mark_due(self, job: Job, due: int) -> None:
        """Have reprocess look at an open job now, and send what is missing: its messages could not be sent."""
        self._update_job(
            job.client,
            job.job_id,
            "SET due = :due, #wait = :zero",
            {"#run": "run", "#open": "open", "#wait": "wait"},
            {":due": number(due), ":zero": number(0), ":run": number(job.run), ":true": {"BOOL": True}},
            condition="#run = :run AND #open = :true",
        )

    def reopen_job(self, job: Job, reopening: Reopening) -> Job | None:
        """Open an ended job again for some of its chunks (step 12).

        Returns
        -------
        Job or None
            The job as it is now; None when it is open, or at another run.
        """
        chunks = number_set(reopening.chunks)
        values = {
            ":run": number(job.run),
            ":next": number(job.run + 1),
            ":scope": {"S": reopening.scope},
            ":true": {"BOOL": True},
            ":false": {"BOOL": False},
            ":automatic": number(reopening.automatic),
            ":due": number(reopening.due),
            ":shard": number(items.due_shard(job.job_id)),
            ":wait": number(reopening.wait),
            ":done": number(len(job.done - reopening.chunks)),
            ":chunks": chunks,
            ":status": {"S": reopening.status},
        }
        return self._update_job(
            job.client,
            job.job_id,
            "SET #run = :next, #scope = :scope, #open = :true, #status = :status, automatic = :automatic, due = :due, "
            "due_shard = :shard, #wait = :wait, done_at_sweep = :done "
            "DELETE done_chunks :chunks, failed_chunks :chunks, transient_chunks :chunks"
            + (" REMOVE ended_at" if reopening.status is JobStatus.ONGOING else ""),
            {"#run": "run", "#scope": "scope", "#open": "open", "#status": "status", "#wait": "wait"},
            values,
            condition="#run = :run AND #open = :false",
            signed=True,
        )

    # ---------------------------------------------------------------- read

    def job(self, client: str, job_id: int) -> Job | None:
        """Read a client's job; None when there is none."""
        item = self._get(items.job_key(client, job_id))
        return None if item is None else items.job_from(item)

    # ---------------------------------------------------------------- requests

    def _get(self, key: Key) -> Item | None:
        with storage():
            return self._client.get_item(TableName=self._name, Key=key, ConsistentRead=True).get("Item")

    def _update_chunk(
        self,
        key: ChunkKey,
        update: str,
        names: dict[str, str],
        values: dict[str, Any],
        *,
        condition: str,
        signed: bool = False,
    ) -> Chunk | None:
        item = self._update(items.chunk_key(key), update, names, values, condition, signed=signed)
        return None if item is None else items.chunk_from(item)

    def _update_job(
        self,
        client: str,
        job_id: int,
        update: str,
        names: dict[str, str],
        values: dict[str, Any],
        *,
        condition: str,
        signed: bool = False,
    ) -> Job | None:
        item = self._update(items.job_key(client, job_id), update, names, values, condition, signed=signed)
        return None if item is None else items.job_from(item)

    def _update(
        self,
        key: Key,
        update: str,
        names: dict[str, str],
        values: dict[str, Any],
        condition: str,
        *,
        signed: bool,
    ) -> Item | None:
        """Update one item and return it as it is now, or None when the condition does not hold.

        A signed update leaves a random mark. When its answer is lost, the SDK repeats the request, whose condition the
        first one has made false: by the mark, the update is known as one's own. Where somebody else takes care of what
        a false condition stands for, no mark is needed.
        """
        mark = secrets.token_urlsafe(_MARK_BYTES)
        if signed:
            update = update.replace("SET ", "SET #mark = :mark, ", 1)
            names = names | {"#mark": "mark"}
            values = values | {":mark": {"S": mark}}
        try:
            with storage():
                return self._client.update_item(
                    TableName=self._name,
                    Key=key,
                    UpdateExpression=update,
                    ConditionExpression=condition,
                    ExpressionAttributeNames=names,
                    ExpressionAttributeValues=values,
                    ReturnValues="ALL_NEW",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD" if signed else "NONE",
                )["Attributes"]
        except ConditionFailedError as failure:
            is_own = signed and failure.item.get("mark", {}).get("S") == mark
            return failure.item if is_own else None

    def _write(self, values: Sequence[_V], item_of: Callable[[_V], Key]) -> None:
        """Store an item for each value. Each batch makes its own: the first ones are on their way meanwhile."""
        until = time.monotonic() + _BATCHES_SECONDS

        def write(batch: Sequence[_V]) -> None:
            self._write_batch(until, [item_of(value) for value in batch])

        for _ in self._each_batch(write, values, _WRITE_BATCH):
            pass

    def _read(self, keys: Sequence[Key]) -> list[Item]:
        until = time.monotonic() + _BATCHES_SECONDS
        return [item for page in self._each_batch(partial(self._read_batch, until), keys, _READ_BATCH) for item in page]

    def _each_batch(self, call: Callable[[Sequence[_V]], _T], values: Sequence[_V], size: int) -> Iterator[_T]:
        """Call for every batch of values, several at once; the thread of a single batch is the caller's own."""
        batches = [values[start : start + size] for start in range(0, len(values), size)]
        return map(call, batches) if len(batches) == 1 else self._pool.map(call, batches)

    def _write_batch(self, until: float, batch: Sequence[Key]) -> None:
        requests: Any = [{"PutRequest": {"Item": item}} for item in batch]
        for _ in _attempts("write", until):
            # DynamoDB says so when it took nothing of a batch, and answers with the rest when it took some.
            with suppress(ThrottledError), storage():
                answer = self._client.batch_write_item(RequestItems={self._name: requests})
                requests = answer["UnprocessedItems"].get(self._name)
            if not requests:
                return

    def _read_batch(self, until: float, batch: Sequence[Key]) -> list[Item]:
        keys: Any = batch
        found: list[Item] = []
        for _ in _attempts("read", until):
            with storage():
                answer = self._client.batch_get_item(RequestItems={self._name: {"Keys": keys, "ConsistentRead": True}})
            found += answer["Responses"].get(self._name, [])
            rest = answer["UnprocessedKeys"].get(self._name)
            if rest is None:
                break
            keys = rest["Keys"]
        return found


def _outcome_sets(outcomes: Mapping[int, Outcome]) -> tuple[list[str], dict[str, Any]]:
    """Write the clauses that save outcomes, each only where there is none, and their values."""
    sets, values = [], {}
    for index, outcome in sorted(outcomes.items()):
        name = items.image_name(index)
        sets.append(f"#out.{name} = if_not_exists(#out.{name}, :{name})")
        values[f":{name}"] = items.outcome_value(outcome)
    return sets, values


def _attempts(what: str, until: float) -> Iterator[None]:
    """Yield at once, then after growing waits, until a time of `time.monotonic`.

    DynamoDB answers a batch that it took in part with the rest, which the SDK does not repeat by itself.

    Raises
    ------
    StorageUnavailableError
        When the time is up and the caller still asks for another attempt.
    """
    next_wait = 0.0
    for wait in full_jitter(0.05, 2.0):
        if time.monotonic() + next_wait > until:
            raise StorageUnavailableError(f"DynamoDB did not {what} everything within {_BATCHES_SECONDS:g} s")
        if next_wait:
            time.sleep(next_wait)
        yield
        next_wait = wait
