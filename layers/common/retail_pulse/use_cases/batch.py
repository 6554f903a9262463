"""The parts of a batch: deliveries, the tasks that they ask for, what measuring finds, and the report."""

import logging
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from retail_pulse.domain.chunks import Chunk, Pointer
from retail_pulse.domain.errors import StorageUnavailableError
from retail_pulse.domain.failures import FailureCode
from retail_pulse.domain.jobs import Job
from retail_pulse.domain.outcomes import Failure, Outcome
from retail_pulse.domain.retries import Attempts

_log = logging.getLogger(__name__)

# A message with this many deliveries may be what kills its workers.
_POISON_RECEIVES = 3


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message of the queue; ``receives`` is how often it was delivered, this time included."""

    message_id: str
    pointer: Pointer
    receives: int = 1

    @property
    def may_be_poison(self) -> bool:
        """Whether the message was delivered so often that it may be what kills its workers."""
        return self.receives >= _POISON_RECEIVES


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """A chunk to process, as the table last returned it, and the ids of the messages that ask for it.

    ``draw`` is a random number from 0 to 1 for the waits in the queue: one per chunk, so that its images come due
    together.
    """

    pointer: Pointer
    messages: Sequence[str]
    chunk: Chunk
    draw: float


@dataclass(slots=True, eq=False)
class Findings:
    """What measuring found about a task's images: outcomes, and failed attempts so far, by the image's position.

    ``retried`` counts failed attempts that are followed by another one, ``in_pool`` the images that are not ready yet,
    and ``unsaved_since`` is when the oldest outcome that is not saved came, by `time.monotonic`.
    """

    task: Task
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    attempts: dict[int, Attempts] = field(default_factory=dict)
    retried: int = 0
    in_pool: int = 0
    unsaved_since: float | None = None

    def add(self, image: int, outcome: Outcome, now: float) -> None:
        """Add an outcome."""
        self.outcomes[image] = outcome
        if self.unsaved_since is None:
            self.unsaved_since = now

    def saved(self, chunk: Chunk) -> None:
        """Note that the outcomes so far are in the chunk as the table returned it."""
        self.task = replace(self.task, chunk=chunk)
        self.outcomes = {}
        self.retried = 0
        self.unsaved_since = None


@dataclass(slots=True)
class BatchReport:
    """The counts of a batch, and the ids of the messages that the queue has to deliver again."""

    failed_messages: set[str] = field(default_factory=set)
    measured: int = 0
    failures: Counter[FailureCode] = field(default_factory=Counter)
    # Failed attempts that are followed by another one.
    retried: int = 0
    # Chunks whose message was stale, or that do not exist.
    dropped: int = 0
    # Chunks whose rest went back to the queue, because the time ran short or images are retried later.
    requeued: int = 0
    closed: list[Job] = field(default_factory=list)

    def add(self, findings: Findings) -> None:
        """Count what was found."""
        failures = [outcome.code for outcome in findings.outcomes.values() if isinstance(outcome, Failure)]
        self.measured += len(findings.outcomes) - len(failures)
        self.failures.update(failures)
        self.retried += findings.retried

    @contextmanager
    def redelivered_if_refused(self, tasks: Collection[Task]) -> Iterator[None]:
        """Report the messages of tasks as failed when the table or the queue refuses a step."""
        try:
            yield
        except StorageUnavailableError as error:
            self.deliver_again(tasks, str(error))

    def deliver_again(self, tasks: Collection[Task], reason: str) -> None:
        """Report the messages of tasks as failed."""
        for task in tasks:
            pointer = task.pointer
            _log.warning(
                "chunk %d of job %d is delivered again: %s",
                pointer.chunk,
                pointer.job_id,
                reason,
                extra=pointer.for_log,
            )
            self.failed_messages.update(task.messages)
