"""The steps of the write protocol, recognized by their requests to AWS: where a worker can be killed."""

from collections.abc import Mapping
from typing import Any

# By role: the requests that the function of that name sends to AWS, and what it does between them.
STEPS: Mapping[str, tuple[str, ...]] = {
    "submit": ("claim key", "count usage", "put chunks", "put job", "read job", "send", "mark due", "reopen job"),
    "process": (
        "hide", "read chunks", "reopen chunk", "measure", "save", "requeue", "claim exclusively", "send", "put rows",
        "add", "close", "close at once", "acknowledge",
    ),
    "reprocess": ("find due", "read job", "claim job", "close", "reopen job", "send", "mark due"),
}  # fmt: skip
MOMENTS = ("before", "after")

_UPDATES = (
    (" SET #status = :status", "close at once"),
    ("ADD done_chunks", "add"),
    ("ADD images", "count usage"),
    ("DELETE done_chunks", "reopen job"),
    ("ended_at = :ended_at", "close"),
    ("starts = :starts", "claim exclusively"),
    ("turn = :next", "requeue"),
    ("#attempts = :earlier", "reopen chunk"),
    ("#wait = :wait", "claim job"),
    ("#wait = :zero", "mark due"),
    ("#out.", "save"),
    ("SET job_id", "move claim"),
)
_PUTS = (("JOB#", "put job"), ("IDEMPOTENCY#", "claim key"))
_OTHERS = {
    "batch_get_item": "read chunks",
    "get_item": "read job",
    "query": "find due",
    "send_message_batch": "send",
    "get_queue_attributes": "count messages",
}


def step_of(method: str, request: Mapping[str, Any]) -> str:
    """Return the step that a boto3 request belongs to.

    Raises
    ------
    ValueError
        The request belongs to no known step: add it to the tables above.
    """
    if method == "update_item":
        for part, step in _UPDATES:
            if part in request["UpdateExpression"]:
                return step
    elif method == "put_item":
        for prefix, step in _PUTS:
            if request["Item"]["pk"]["S"].startswith(prefix):
                return step
    elif method == "batch_write_item":
        (writes,) = request["RequestItems"].values()
        return "put chunks" if writes[0]["PutRequest"]["Item"]["pk"]["S"].startswith("CHUNK#") else "put rows"
    elif method in _OTHERS:
        return _OTHERS[method]
    raise ValueError(f"{method} belongs to no known step: {request}")
