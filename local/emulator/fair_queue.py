"""Fair delivery on standard queues: the messages of one group do not wait for the backlog of another.

ministack delivers by age. SQS calls a group noisy when it takes more than a tenth of the consumers' time, or has 30
messages in flight that are more than a tenth of all. Messages of the other groups go first; of several noisy groups,
those of the one with the fewest in flight. On one machine almost every group with a message in flight is noisy, so only
this last rule is applied:
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues-detailed.html
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Any

Message = dict[str, Any]
Collect = Callable[[dict[str, Any], int, int], list[Message]]


def fairly(messages: Iterable[Message], number: int, now: float) -> list[Message]:
    """Return the next messages to deliver, of a queue's messages by age, as ministack keeps them."""
    in_flight: Counter[str] = Counter()
    waiting: dict[str, deque[Message]] = {}
    for message in messages:
        # A message without a group is a group of its own.
        group = message.get("group_id") or message["id"]
        if message["visible_at"] <= now:
            waiting.setdefault(group, deque()).append(message)
        elif message["receive_count"]:
            in_flight[group] += 1
    chosen: list[Message] = []
    while waiting and len(chosen) < number:
        # Of equal groups, the one whose message is older.
        group = min(waiting, key=in_flight.__getitem__)
        chosen.append(waiting[group].popleft())
        in_flight[group] += 1
        if not waiting[group]:
            del waiting[group]
    return chosen


def collecting(collect: Collect, now: Callable[[], float]) -> Collect:
    """Return ministack's function that receives messages, with fair delivery on standard queues."""

    def collected(queue: dict[str, Any], number: int, visibility_seconds: int) -> list[Message]:
        if not queue["is_fifo"]:
            queue = {**queue, "messages": fairly(queue["messages"], number, now())}
        return collect(queue, number, visibility_seconds)

    return collected
