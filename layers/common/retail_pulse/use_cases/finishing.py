"""Finishes chunks whose images all have an outcome: visit rows, the job's sets, its end (steps 7 to 9)."""

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Protocol

from retail_pulse.domain.jobs import ChunkVerdict, Job, JobStatus, SweepPolicy, numbers
from retail_pulse.domain.visits import VisitRow
from retail_pulse.use_cases.batch import BatchReport, Task
from retail_pulse.use_cases.steps import ClosingStore, close

# Chunks that are done within this time share their writes: an update of a job costs the same for one chunk and for ten.
_MAX_WAIT_SECONDS = 0.75
# How long the table may refuse visit rows before the others of the batch go on, and before their messages are given up.
_ROWS_SECONDS = 1.0
_LAST_ROWS_SECONDS = 8.0


class FinishingStore(ClosingStore, Protocol):
    """What finishing needs from the table."""

    def put_visit_rows(self, rows: Sequence[tuple[VisitRow, int]], seconds: float) -> Collection[VisitRow]: ...
    def add_chunks(self, client: str, job_id: int, run: int, verdicts: Collection[ChunkVerdict]) -> Job | None: ...
    def close_at_once(
        self, client: str, job_id: int, run: int, verdicts: Collection[ChunkVerdict], status: JobStatus,
        ended_at: datetime,
    ) -> Job | None: ...  # fmt: skip


class Finishing:
    """Finishes the done chunks of a batch, a few at a time; refused visit rows hold up only the chunks they are of."""

    def __init__(
        self,
        store: FinishingStore,
        sweeps: SweepPolicy,
        report: BatchReport,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._sweeps = sweeps
        self._report = report
        self._now = now
        self._done: list[Task] = []
        self._next = 0.0

    def add(self, task: Task) -> None:
        """Add a task whose chunk is done."""
        if not self._done:
            self._next = time.monotonic() + _MAX_WAIT_SECONDS
        self._done.append(task)

    def finish_due(self) -> None:
        """Finish the chunks if the first of them has waited long enough; those that the table refuses stay."""
        if self._done and time.monotonic() >= self._next:
            self._done = self._finish(self._done, _ROWS_SECONDS)
            self._next = time.monotonic() + _MAX_WAIT_SECONDS

    def finish_all(self) -> None:
        """Finish all chunks; the messages of those that the table refuses are delivered again."""
        refused = self._finish(self._done, _LAST_ROWS_SECONDS) if self._done else []
        self._done = []
        self._report.deliver_again(refused, "the table refused visit rows")

    def _finish(self, tasks: Sequence[Task], seconds: float) -> list[Task]:
        """Finish chunks, and return those whose visit rows were refused."""
        rows = [(task, list(_rows(task))) for task in tasks]
        refused = frozenset(self._store.put_visit_rows([row for _, of_task in rows for row in of_task], seconds))
        blocked: list[Task] = []
        of_job: defaultdict[tuple[str, int, int], list[Task]] = defaultdict(list)
        for task, of_task in rows:
            if any(row in refused for row, _ in of_task):
                blocked.append(task)
            else:
                of_job[task.pointer.client, task.pointer.job_id, task.pointer.run].append(task)
        for of_this in of_job.values():
            with self._report.redelivered_if_refused(of_this):
                self._add_to_job(of_this)
        return blocked

    def _add_to_job(self, tasks: Sequence[Task]) -> None:
        """Add chunks of one job to it by one update, and end the job if it is complete (steps 8 and 9)."""
        pointer = tasks[0].pointer
        key = pointer.client, pointer.job_id, pointer.run
        verdicts = [ChunkVerdict.of(task.chunk) for task in tasks]
        done, failed, transient = numbers(verdicts)
        closed: Job | None = None
        if len(done) == pointer.chunks and not transient:
            # All of the job, and nothing that the schedule would retry: its end needs no knowledge of the job.
            closed = self._store.close_at_once(*key, verdicts, JobStatus.at_end(failed), self._now())
        else:
            job = self._store.add_chunks(*key, verdicts)
            if job is not None and job.open and job.all_done:
                closed = close(self._store, self._sweeps, job, self._now())
        if closed is not None:
            self._report.closed.append(closed)


def _rows(task: Task) -> Iterable[tuple[VisitRow, int]]:
    for row in task.chunk.measured_rows(task.pointer.client, task.pointer.job_id):
        yield row, task.chunk.job_expires_at
