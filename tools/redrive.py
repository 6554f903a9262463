"""Show what is in a stage's dead-letter queue, by job, and send it back to the queue.

``make redrive`` runs it. It handles up to 5,000 messages at a time. A message that is not a pointer is shown and stays.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from retail_pulse.domain.chunks import Pointer
from retail_pulse.domain.errors import InvalidPointerError, RetailPulseError
from retail_pulse.domain.text import printable
from retail_pulse.storage.queue import PointerQueue, decode
from tools import stage

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

Message = dict[str, Any]

_BATCH = 10
_MAX_MESSAGES = 5000
# Hidden from other readers while a person reads the list and decides.
_HIDDEN_SECONDS = 600
_BODY_SHOWN = 60


@dataclass
class Letters:
    """Dead letters that were received, as batches that SQS can delete."""

    pointers: list[list[tuple[Message, Pointer]]] = field(default_factory=list)
    unreadable: list[Message] = field(default_factory=list)

    def __len__(self) -> int:
        return sum(map(len, self.pointers))


def _receive(sqs: "SQSClient", url: str) -> Letters:
    """Receive what the queue has, up to a maximum."""
    letters = Letters()
    while len(letters) + len(letters.unreadable) < _MAX_MESSAGES:
        answer = sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=_BATCH,
            VisibilityTimeout=_HIDDEN_SECONDS,
            # Otherwise SQS asks only some of its servers, and may return nothing although there is something.
            WaitTimeSeconds=1,
            MessageSystemAttributeNames=["SentTimestamp"],
        )
        messages: list[Any] = answer.get("Messages", [])
        if not messages:
            break
        batch = []
        for message in messages:
            try:
                batch.append((message, decode(message["Body"])))
            except InvalidPointerError:
                letters.unreadable.append(message)
        letters.pointers.append(batch)
    return letters


def _show(letters: Letters) -> None:
    """Print the letters by job, the oldest first, and those that are not pointers."""
    of_job: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
    for message, pointer in (pair for batch in letters.pointers for pair in batch):
        of_job[pointer.client, pointer.job_id].append(_sent_at(message))
    rows = [("CLIENT", "JOB", "MESSAGES", "SINCE")]
    for (client, job_id), times in sorted(of_job.items(), key=lambda entry: min(entry[1])):
        rows.append((client, str(job_id), str(len(times)), _time(min(times))))
    if len(rows) > 1:
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    for message in letters.unreadable:
        body = printable(message["Body"])[:_BODY_SHOWN]
        print(f"not a pointer, stays: {message['MessageId']} of {_time(_sent_at(message))}: {body}")


def _sent_at(message: Message) -> int:
    return int(message["Attributes"]["SentTimestamp"])


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _is_wanted(count: int, assume_yes: bool) -> bool:
    if assume_yes:
        return True
    print(f"Send {count} messages back to the queue? [y/N] ", end="", flush=True)
    answer = sys.stdin.readline()
    if not answer:
        print("no answer; YES=1 sends without a question")
    return answer.strip().lower() in {"y", "yes"}


def _send_back(sqs: "SQSClient", source: str, target: str, letters: Letters) -> None:
    """Send each batch and delete it; a message that dies in between is a duplicate, which changes nothing."""
    queue = PointerQueue(sqs, target)
    for batch in letters.pointers:
        if batch:
            queue.send([pointer for _, pointer in batch])
            receipts = [message["ReceiptHandle"] for message, _ in batch]
            sqs.delete_message_batch(
                QueueUrl=source,
                Entries=[{"Id": str(number), "ReceiptHandle": receipt} for number, receipt in enumerate(receipts)],
            )


def _release(sqs: "SQSClient", url: str, messages: Sequence[Message]) -> None:
    """Make messages visible again at once."""
    for start in range(0, len(messages), _BATCH):
        sqs.change_message_visibility_batch(
            QueueUrl=url,
            Entries=[
                {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": 0}
                for number, message in enumerate(messages[start : start + _BATCH])
            ],
        )


def _redrive(sqs: "SQSClient", source: str, target: str, assume_yes: bool) -> None:
    letters = _receive(sqs, source)
    kept = [*letters.unreadable, *(message for batch in letters.pointers for message, _ in batch)]
    try:
        _show(letters)
        if not kept:
            print("no dead letter is visible")
        elif len(letters) and _is_wanted(len(letters), assume_yes):
            _send_back(sqs, source, target, letters)
            kept = letters.unreadable
            print(f"messages sent back: {len(letters)}")
    finally:
        _release(sqs, source, kept)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.redrive", description=__doc__, parents=[stage.arguments()])
    parser.add_argument("--yes", action="store_true", help="send without a question")
    options = parser.parse_args(arguments)
    try:
        client, outputs = stage.connect(options, "QueueUrl", "DeadLetterQueueUrl")
        _redrive(client("sqs"), outputs["DeadLetterQueueUrl"], outputs["QueueUrl"], options.yes)
    except (RetailPulseError, *stage.ERRORS) as error:
        print(f"not everything was sent back: {stage.reason(error)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
