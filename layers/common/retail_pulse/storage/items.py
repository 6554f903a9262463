"""Jobs, chunks, visit rows and claims as items of the table: their keys, and items to and from the domain.

Keys are made only here. The keys of jobs, claims and visit rows contain the client, so no route can read without it.
The key of a chunk contains the nonce of its job, which is random and never leaves the service: only a reader of the job
finds its chunks. A client's name has no ``#`` (`api_keys.check_client`), so no name, id or idempotency key can make the
key of another client's item.

Attribute names within a chunk are short, since DynamoDB bills every kilobyte of an item at every write. What no
expression reaches into is one string, not lists and maps: the SDK walks every typed value in Python, which was the
largest part of the cost of a chunk.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

from retail_pulse.domain.chunks import Chunk, ChunkKey, Scope
from retail_pulse.domain.failures import FailureCode
from retail_pulse.domain.idempotency import Claim
from retail_pulse.domain.jobs import Job, JobStatus
from retail_pulse.domain.outcomes import Failure, Measured, Outcome
from retail_pulse.domain.retries import Attempts
from retail_pulse.domain.times import rfc3339, utc_of
from retail_pulse.domain.visits import VisitPart, VisitRow
from retail_pulse.storage.values import Item, Key, Value, attributes, read, time_from, write

# Chunks outlive their job, so a reader of a job finds all of its chunks.
CHUNK_GRACE_SECONDS = 7 * 86_400
# The due index is spread over this many partitions.
DUE_SHARDS = 8
# A job's fields and their attributes; three have other names.
_JOB_SETS = {"done": "done_chunks", "failed": "failed_chunks", "transient": "transient_chunks"}
_JOB_ATTRIBUTES = {field.name: field.name for field in fields(Job)} | _JOB_SETS
_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def job_key(client: str, job_id: int) -> Key:
    """Return the key of a client's job."""
    return {"pk": {"S": f"JOB#{client}#{job_id}"}, "sk": {"S": "JOB"}}


def chunk_key(key: ChunkKey) -> Key:
    """Return a chunk's key. Every chunk has its own partition, so one partition's rate does not limit a job."""
    return {"pk": {"S": f"CHUNK#{key.nonce}#{key.number:05d}"}, "sk": {"S": "CHUNK"}}


def chunk_key_from(item: Item) -> ChunkKey:
    """Read a chunk's key from its item."""
    _, nonce, number = item["pk"]["S"].split("#")
    return ChunkKey(nonce, int(number))


def claim_key(client: str, idempotency_key: str) -> Key:
    """Return the key of a claim on a client's idempotency key."""
    return {"pk": {"S": f"IDEMPOTENCY#{client}#{idempotency_key}"}, "sk": {"S": "IDEMPOTENCY"}}


def due_shard(job_id: int) -> int:
    """Return a job's partition of the due index."""
    return job_id % DUE_SHARDS


def job_key_from(item: Item) -> tuple[str, int]:
    """Read a job's client and id from its key."""
    _, client, job_id = item["pk"]["S"].split("#")
    return client, int(job_id)


def visit_row_partition(client: str, store_id: str) -> str:
    """Return the partition of the visit rows of a client's store."""
    return f"CLIENT#{client}#STORE#{store_id}"


def visit_row_key(row: VisitRow) -> Key:
    """Return the key of a visit row; rows of a store sort by time, and undated ones come last."""
    time = utc_of(row.visit_time)
    when = "undated" if time is None else rfc3339(time)
    return {
        "pk": {"S": visit_row_partition(row.client, row.store_id)},
        "sk": {"S": f"{when}#{row.job_id:016d}#{row.visit:06d}#{row.part:04d}/{row.parts:04d}"},
    }


def job_item(job: Job) -> Item:
    """Write a job as its item: an attribute for each field that is neither None nor empty."""
    values = {attribute: getattr(job, field) for field, attribute in _JOB_ATTRIBUTES.items()}
    values["metadata"] = _json(job.metadata) if job.metadata else None
    shard = None if job.due is None else due_shard(job.job_id)
    return job_key(job.client, job.job_id) | attributes(**values, due_shard=shard)


def job_from(item: Item) -> Job:
    """Read a job from its item."""
    values = {field: read(item[attribute]) for field, attribute in _JOB_ATTRIBUTES.items() if attribute in item}
    times = dict.fromkeys(("created_at", "ended_at", "retried_at"), time_from)
    kinds: dict[str, Callable[[Any], object]] = {"status": JobStatus, "scope": Scope, "metadata": json.loads, **times}
    return Job(**values | {field: kind(values[field]) for field, kind in kinds.items() if field in values})


def chunk_item(nonce: str, chunk: Chunk, job_expires_at: int) -> Item:
    """Write a new chunk as its item."""
    return {
        **chunk_key(ChunkKey(nonce, chunk.number)),
        **attributes(run=chunk.run, turn=chunk.turn, expires_at=job_expires_at + CHUNK_GRACE_SECONDS),
        "parts": {"S": _json([_part_list(part) for part in chunk.parts])},
        "out": {"M": {image_name(index): outcome_value(outcome) for index, outcome in chunk.outcomes.items()}},
        "attempts": {"M": {image_name(index): attempts_value(attempts) for index, attempts in chunk.attempts.items()}},
    }


def chunk_from(item: Item) -> Chunk:
    """Read a chunk from its item."""
    return Chunk(
        number=chunk_key_from(item).number,
        parts=[_part_from(*part) for part in json.loads(item["parts"]["S"])],
        outcomes={int(name[1:]): _outcome_from(value) for name, value in item["out"]["M"].items()},
        attempts={int(name[1:]): _attempts_from(value) for name, value in item["attempts"]["M"].items()},
        job_expires_at=int(item["expires_at"]["N"]) - CHUNK_GRACE_SECONDS,
        **{name: int(item[name]["N"]) for name in ("run", "turn", "starts", "starting", "lease") if name in item},
    )


def image_name(index: int) -> str:
    """Return an image's name in a chunk's maps of outcomes and of attempts."""
    return f"i{index:02d}"


def outcome_value(outcome: Outcome) -> Value:
    """Write an outcome: the shortest text for a measured image, a map for a failed one."""
    if isinstance(outcome, Measured):
        return {"S": f"{outcome.format} {outcome.width} {outcome.height} {outcome.bytes}"}
    return {"M": _failure_attributes(outcome)}


def _failure_attributes(failure: Failure) -> Item:
    return {
        "code": {"S": failure.code},
        "text": {"S": failure.message},
        "transient": {"BOOL": failure.is_transient},
        "attempts": write(failure.attempts),
    }


def _outcome_from(value: Value) -> Outcome:
    if "S" in value:
        form, width, height, size = value["S"].split(" ")
        return Measured(form, int(width), int(height), int(size))
    return _failure_from(value["M"])


def _failure_from(item: Item) -> Failure:
    # Items that were stored before attempts were counted do not have their number.
    attempts = int(item["attempts"]["N"]) if "attempts" in item else 0
    return Failure(FailureCode(item["code"]["S"]), item["text"]["S"], item["transient"]["BOOL"], attempts)


def attempts_value(attempts: Attempts) -> Value:
    """Write the attempts at an image; milliseconds are exact enough for a wait."""
    numbers = (attempts.count, round(attempts.since * 1000), round(attempts.not_before * 1000), attempts.earlier)
    error: list[Value] = [] if attempts.last_error is None else [{"M": _failure_attributes(attempts.last_error)}]
    return {"L": [*map(write, numbers), *error]}


def _attempts_from(value: Value) -> Attempts:
    """Read attempts; items that were stored before earlier runs and the last error were kept have three numbers."""
    numbers = [int(part["N"]) for part in value["L"] if "N" in part]
    errors = [_failure_from(part["M"]) for part in value["L"] if "M" in part]
    count, since, not_before, earlier = numbers if len(numbers) == 4 else [*numbers, 0]
    return Attempts(count, since / 1000, not_before / 1000, earlier, errors[0] if errors else None)


def _part_list(part: VisitPart) -> list[object]:
    """Write a visit part as the arguments of `_part_from`; a visit that was not split needs only the first four."""
    split = [part.part, part.parts, part.first_image] if part.parts > 1 else []
    return [part.visit, part.store_id, part.visit_time, part.image_urls, *split]


def _part_from(
    visit: int, store_id: str, visit_time: str, urls: Sequence[str], part: int = 1, parts: int = 1, first_image: int = 0
) -> VisitPart:
    return VisitPart(visit, part, parts, first_image, store_id, visit_time, urls)


def visit_row_item(row: VisitRow, job_expires_at: int) -> Item:
    """Write a visit row as its item."""
    return visit_row_key(row) | attributes(
        visit_time=row.visit_time, perimeter=row.perimeter, images=row.images, expires_at=job_expires_at
    )


def visit_row_from(item: Item) -> VisitRow:
    """Read a visit row from its item."""
    _, client, _, store_id = item["pk"]["S"].split("#", 3)
    _, job_id, visit, part = item["sk"]["S"].split("#")
    number, parts = map(int, part.split("/"))
    values = (read(item[name]) for name in ("visit_time", "perimeter", "images"))
    return VisitRow(client, int(job_id), int(visit), number, parts, store_id, *values)


def visit_position(item: Item) -> str:
    """Return the part of a visit row's sort key that all parts of its visit have in common."""
    return str(item["sk"]["S"].rpartition("#")[0])


def claim_item(claim: Claim) -> Item:
    """Write a claim as its item."""
    return claim_key(claim.client, claim.idempotency_key) | attributes(
        body_hash=claim.body_hash, job_id=claim.job_id, expires_at=claim.expires_at
    )


def claim_from(item: Item) -> Claim:
    """Read a claim from its item."""
    _, client, idempotency_key = item["pk"]["S"].split("#", 2)
    return Claim(client, idempotency_key, *(read(item[name]) for name in ("body_hash", "job_id", "expires_at")))
