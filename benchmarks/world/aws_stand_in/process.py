"""Runs the stand-in in its own process, so that its work does not count as its caller's."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from benchmarks.world.aws_stand_in import queues, table
from benchmarks.world.aws_stand_in.server import CONTROL
from local.checkout import ROOT

# What AWS takes to answer a call from the same region.
ANSWER_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class CallCounts:
    """Totals since the last reset.

    Parameters
    ----------
    dynamodb
        By the name of the call and the kind of item, such as ``("PutItem", "JOB")``.
    sqs
        By the name of the call.
    stored
        The number of all items and their bytes, by kind. A reset does not change it.
    max_at_once
        The highest number of calls that were waiting for an answer at the same time.
    """

    dynamodb: Mapping[tuple[str, str], table.Counts]
    sqs: Mapping[str, queues.Counts]
    stored: Mapping[str, tuple[int, int]]
    max_at_once: int

    @property
    def write_units(self) -> int:
        """Write units of the table and its indexes."""
        return sum(counts.write_units + counts.index_write_units for counts in self.dynamodb.values())

    @property
    def read_units(self) -> int:
        """Read units of the table."""
        return sum(counts.read_units for counts in self.dynamodb.values())

    @property
    def queue_requests(self) -> int:
        """Requests that SQS bills."""
        return sum(counts.requests for counts in self.sqs.values())

    @property
    def stored_bytes(self) -> int:
        """Bytes of storage that DynamoDB bills."""
        return sum(taken for _, taken in self.stored.values())


class AwsStandIn:
    """DynamoDB and SQS on 127.0.0.1 within a ``with`` block.

    Parameters
    ----------
    seconds
        Time until each answer.

    Attributes
    ----------
    url
        The value for ``AWS_ENDPOINT_URL``.
    """

    def __init__(self, seconds: float = ANSWER_SECONDS) -> None:
        self._seconds = seconds
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "benchmarks.world.aws_stand_in.server", "--seconds", str(self._seconds)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.communicate(timeout=10)

    def reset(self) -> None:
        """Reset the totals. Items and messages stay."""
        self._control("Reset")

    def throttle(self, write_units_per_second: float | None) -> None:
        """Limit write units per second. None means no limit."""
        self._control("Throttle", write_units_per_second=write_units_per_second)

    def messages(self) -> int:
        """Return the number of messages in all queues, hidden ones included. It is not counted as a call."""
        return int(self._control("Messages")["messages"])

    def counts(self) -> CallCounts:
        """Return the totals since the last reset."""
        found = self._control("Counts")
        return CallCounts(
            {(call, kind): table.Counts(**counts) for call, kind, counts in found["dynamodb"]},
            {call: queues.Counts(**counts) for call, counts in found["sqs"]},
            {kind: (count, taken) for kind, count, taken in found["stored"]},
            found["max_at_once"],
        )

    def _control(self, call: str, **request: Any) -> Any:
        sent = urllib.request.Request(  # noqa: S310  # the stand-in's own URL
            self.url, json.dumps(request).encode(), {"X-Amz-Target": f"{CONTROL}.{call}"}
        )
        with urllib.request.urlopen(sent, timeout=30) as answer:  # noqa: S310
            return json.load(answer)
