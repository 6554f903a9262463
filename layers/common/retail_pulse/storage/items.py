"""How jobs, chunks, visit rows, claims and API keys lie in the table: their keys, and items to and from the domain.

Keys are made here and nowhere else: the client is part of a job's, of a claim's and of a visit row's, so that no route
can read without it. A chunk lies under the nonce of its job, which is random and never leaves the service: only who
may read the job finds its chunks. A client's name holds no ``#`` (`keys.check_client`), so that no name, id or
idempotency key can make the key of another client's item.
Attribute names within a chunk are short on purpose: DynamoDB bills every kilobyte of an item at every write.
What no expression reaches into is one string instead of lists and maps: the SDK walks every typed value in Python, at
some microseconds each, which was the largest part of what a chunk cost.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from retail_pulse.domain.api_keys import ApiKey, KeyScope
from retail_pulse.domain.chunks import Chunk, ChunkKey, Scope
from retail_pulse.domain.failures import FailureCode
from retail_pulse.domain.idempotency import Claim
from retail_pulse.domain.jobs import Job, JobStatus
from retail_pulse.domain.outcomes import Failure, Measured, Outcome
from retail_pulse.domain.retries import Tries
from retail_pulse.domain.times import rfc3339, utc_of
from retail_pulse.domain.visits import VisitPart, VisitRow

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    Item = Mapping[str, AttributeValueTypeDef]
    Value = AttributeValueTypeDef
    Key = dict[str, AttributeValueTypeDef]
else:
    Item = Value = Key = Any

# Chunks outlive their job, so that no reader of a job finds it half gone.
CHUNK_GRACE_SECONDS = 7 * 86_400
# The partition that lists the API keys. No function may read it: what a key allows is on its own item.
KEY_DIRECTORY = "KEYS"
# An expired API key stays this long, so that it can be listed and its late use be named in the log.
KEY_GRACE_SECONDS = 90 * 86_400
# The due index is spread over this many partitions.
DUE_SHARDS = 8
_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def job_key(client: str, job_id: int) -> Key:
    """Return the key of a client's job."""
    return {"pk": {"S": f"JOB#{client}#{job_id}"}, "sk": {"S": "JOB"}}


def chunk_key(key: ChunkKey) -> Key:
    """Return the key of a chunk: a partition of its own, so that a large job is not held to one partition's rate."""
    return {"pk": {"S": f"CHUNK#{key.nonce}#{key.number:05d}"}, "sk": {"S": "CHUNK"}}


def chunk_key_from(item: Item) -> ChunkKey:
    """Read where a chunk lies from its item."""
    _, nonce, number = item["pk"]["S"].split("#")
    return ChunkKey(nonce, int(number))


def claim_key(client: str, idempotency_key: str) -> Key:
    """Return the key of a claim on an idempotency key of a client."""
    return {"pk": {"S": f"IDEMPOTENCY#{client}#{idempotency_key}"}, "sk": {"S": "IDEMPOTENCY"}}


def due_shard(job_id: int) -> int:
    """Return the partition of the due index that a job is in."""
    return job_id % DUE_SHARDS


def job_key_from(item: Item) -> tuple[str, int]:
    """Read a job's client and id from its key."""
    _, client, job_id = item["pk"]["S"].split("#")
    return client, int(job_id)


def api_key_key(key_hash: str) -> Key:
    """Return the key under which an API key's hash lies."""
    return {"pk": {"S": f"KEY#{key_hash}"}, "sk": {"S": "KEY"}}


def key_entry_key(key_id: str) -> Key:
    """Return the key of an API key's entry in the directory, which is one partition sorted by client."""
    return {"pk": {"S": KEY_DIRECTORY}, "sk": {"S": key_id}}


def visit_row_key(row: VisitRow) -> Key:
    """Return the key of a visit row; rows of a store sort by time, and undated ones come last."""
    time = utc_of(row.visit_time)
    when = "undated" if time is None else rfc3339(time)
    return {
        "pk": {"S": f"CLIENT#{row.client}#STORE#{row.store_id}"},
        "sk": {"S": f"{when}#{row.job_id:016d}#{row.visit:06d}#{row.part:04d}/{row.parts:04d}"},
    }


def job_item(job: Job) -> Key:
    """Write a job as its item."""
    item: Key = {
        **job_key(job.client, job.job_id),
        "client": {"S": job.client},
        "job_id": _number(job.job_id),
        "nonce": {"S": job.nonce},
        "status": {"S": job.status},
        "open": {"BOOL": job.open},
        "run": _number(job.run),
        "scope": {"S": job.scope},
        "created_at": {"S": rfc3339(job.created_at)},
        "visits": _number(job.visits),
        "images": _number(job.images),
        "chunks": _number(job.chunks),
        "automatic": _number(job.automatic),
        "wait": _number(job.wait),
        "seen": _number(job.seen),
        "expires_at": _number(job.expires_at),
    }
    if job.idempotency_key is not None:
        item["idempotency_key"] = {"S": job.idempotency_key}
    if job.ended_at is not None:
        item["ended_at"] = {"S": rfc3339(job.ended_at)}
    if job.due is not None:
        item["due"] = _number(job.due)
        item["due_shard"] = _number(due_shard(job.job_id))
    for name, members in (("done_chunks", job.done), ("failed_chunks", job.failed), ("soft_chunks", job.soft)):
        if members:
            item[name] = number_set(members)
    return item


def job_from(item: Item) -> Job:
    """Read a job from its item."""
    return Job(
        client=item["client"]["S"],
        job_id=int(item["job_id"]["N"]),
        nonce=item["nonce"]["S"],
        status=JobStatus(item["status"]["S"]),
        open=item["open"]["BOOL"],
        run=int(item["run"]["N"]),
        scope=Scope(item["scope"]["S"]),
        created_at=_time(item["created_at"]),
        ended_at=_time(item["ended_at"]) if "ended_at" in item else None,
        visits=int(item["visits"]["N"]),
        images=int(item["images"]["N"]),
        chunks=int(item["chunks"]["N"]),
        due=int(item["due"]["N"]) if "due" in item else None,
        expires_at=int(item["expires_at"]["N"]),
        done=_members(item, "done_chunks"),
        failed=_members(item, "failed_chunks"),
        soft=_members(item, "soft_chunks"),
        automatic=_optional_int(item, "automatic"),
        wait=_optional_int(item, "wait"),
        seen=_optional_int(item, "seen"),
        idempotency_key=item["idempotency_key"]["S"] if "idempotency_key" in item else None,
    )


def chunk_item(nonce: str, chunk: Chunk, job_expires_at: int) -> Key:
    """Write a new chunk as its item."""
    return {
        **chunk_key(ChunkKey(nonce, chunk.number)),
        "run": _number(chunk.run),
        "parts": {"S": _json([_part_list(part) for part in chunk.parts])},
        "out": {"M": {image_name(index): outcome_value(outcome) for index, outcome in chunk.outcomes.items()}},
        "tries": {"M": {image_name(index): tries_value(tries) for index, tries in chunk.tries.items()}},
        "turn": _number(chunk.turn),
        "expires_at": _number(job_expires_at + CHUNK_GRACE_SECONDS),
    }


def chunk_from(item: Item) -> Chunk:
    """Read a chunk from its item."""
    return Chunk(
        number=chunk_key_from(item).number,
        parts=[_part_from(*part) for part in json.loads(item["parts"]["S"])],
        run=int(item["run"]["N"]),
        outcomes={int(name[1:]): _outcome_from(value) for name, value in item["out"]["M"].items()},
        tries={int(name[1:]): _tries_from(value) for name, value in item["tries"]["M"].items()},
        turn=_optional_int(item, "turn"),
        starts=_optional_int(item, "starts"),
        starting=int(item["starting"]["N"]) if "starting" in item else None,
        lease=_optional_int(item, "lease"),
        job_expires_at=int(item["expires_at"]["N"]) - CHUNK_GRACE_SECONDS,
    )


def image_name(index: int) -> str:
    """Return the name of an image in a chunk's map of outcomes."""
    return f"i{index:02d}"


def outcome_value(outcome: Outcome) -> Value:
    """Write an outcome: a text for a measured image (the shortest), a map for a failed one."""
    if isinstance(outcome, Measured):
        return {"S": f"{outcome.format} {outcome.width} {outcome.height} {outcome.bytes}"}
    return {"M": {"code": {"S": outcome.code}, "text": {"S": outcome.message}, "soft": {"BOOL": outcome.may_pass}}}


def _outcome_from(value: Value) -> Outcome:
    if "S" in value:
        form, width, height, size = value["S"].split(" ")
        return Measured(form, int(width), int(height), int(size))
    failure = value["M"]
    return Failure(FailureCode(failure["code"]["S"]), failure["text"]["S"], failure["soft"]["BOOL"])


def tries_value(tries: Tries) -> Value:
    """Write what was tried of an image; times in milliseconds, which is all that a wait needs."""
    return {"L": [_number(tries.count), _number(round(tries.since * 1000)), _number(round(tries.not_before * 1000))]}


def _tries_from(value: Value) -> Tries:
    count, since, not_before = (int(number["N"]) for number in value["L"])
    return Tries(count, since / 1000, not_before / 1000)


def _part_list(part: VisitPart) -> list[object]:
    """Write a visit part as the arguments of `_part_from`; most parts are whole visits, and end early."""
    split = [part.part, part.parts, part.first_image] if part.parts > 1 else []
    return [part.visit, part.store_id, part.visit_time, part.image_urls, *split]


def _part_from(
    visit: int, store_id: str, visit_time: str, urls: Sequence[str], part: int = 1, parts: int = 1, first_image: int = 0
) -> VisitPart:
    return VisitPart(visit, part, parts, first_image, store_id, visit_time, urls)


def visit_row_item(row: VisitRow, job_expires_at: int) -> Key:
    """Write a visit row as its item."""
    return {
        **visit_row_key(row),
        "visit_time": {"S": row.visit_time},
        "perimeter": _number(row.perimeter),
        "images": _number(row.images),
        "expires_at": _number(job_expires_at),
    }


def claim_item(claim: Claim) -> Key:
    """Write a claim as its item."""
    return {
        **claim_key(claim.client, claim.idempotency_key),
        "body_hash": {"S": claim.body_hash},
        "job_id": _number(claim.job_id),
        "expires_at": _number(claim.expires_at),
    }


def claim_from(item: Item) -> Claim:
    """Read a claim from its item."""
    _, client, idempotency_key = item["pk"]["S"].split("#", 2)
    return Claim(
        client, idempotency_key, item["body_hash"]["S"], int(item["job_id"]["N"]), int(item["expires_at"]["N"])
    )


def api_key_item(key: ApiKey) -> Key:
    """Write an API key as its item; ``expires_at`` is the table's own end of an item, later than the key's."""
    item: Key = {
        **api_key_key(key.hash),
        "key_id": {"S": key.key_id},
        "client": {"S": key.client},
        "scopes": {"SS": sorted(key.scopes)},
        "created_at": {"S": rfc3339(key.created_at)},
        **_end_of_key(key),
    }
    if key.expires_at is not None:
        item["valid_until"] = {"S": rfc3339(key.expires_at)}
    if key.revoked_at is not None:
        item["revoked_at"] = {"S": rfc3339(key.revoked_at)}
    return item


def api_key_from(item: Item) -> ApiKey:
    """Read an API key from its item."""
    return ApiKey(
        key_id=item["key_id"]["S"],
        hash=item["pk"]["S"].removeprefix("KEY#"),
        client=item["client"]["S"],
        scopes=frozenset(KeyScope(scope) for scope in item["scopes"]["SS"]),
        created_at=_time(item["created_at"]),
        expires_at=_time(item["valid_until"]) if "valid_until" in item else None,
        revoked_at=_time(item["revoked_at"]) if "revoked_at" in item else None,
    )


def key_entry_item(key: ApiKey) -> Key:
    """Write an API key's entry in the directory: where its item lies."""
    return {**key_entry_key(key.key_id), "hash": {"S": key.hash}, **_end_of_key(key)}


def key_hash_from(entry: Item) -> str:
    """Read where an API key's item lies from its entry in the directory."""
    return entry["hash"]["S"]


def _end_of_key(key: ApiKey) -> Key:
    if key.expires_at is None:
        return {}
    return {"expires_at": _number(int(key.expires_at.timestamp()) + KEY_GRACE_SECONDS)}


def number_set(members: Iterable[int]) -> Value:
    """Write a set of numbers, which may not be empty."""
    return {"NS": [str(member) for member in sorted(members)]}


def _members(item: Item, name: str) -> frozenset[int]:
    return frozenset(int(member) for member in item[name]["NS"]) if name in item else frozenset()


def _optional_int(item: Item, name: str) -> int:
    return int(item[name]["N"]) if name in item else 0


def _number(value: int) -> Value:
    return {"N": str(value)}


def _time(value: Value) -> datetime:
    return datetime.fromisoformat(value["S"]).astimezone(UTC)
