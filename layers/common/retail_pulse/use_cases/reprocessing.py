"""Use case: the schedule resumes stalled jobs and retries transient failures (steps 10 to 12 of the write protocol)."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Protocol

from retail_pulse.domain.errors import StorageUnavailableError
from retail_pulse.domain.jobs import Job, Need, SweepPolicy
from retail_pulse.use_cases.steps import ClosingStore, PointerSender, ReopeningStore, close, job_fields, send_missing

_log = logging.getLogger(__name__)


class Queue(PointerSender, Protocol):
    """What reprocessing needs from the queue."""

    def backlog(self) -> int: ...


class DueStore(ReopeningStore, ClosingStore, Protocol):
    """What reprocessing needs from the table."""

    def due_jobs(self, now: int) -> Iterator[tuple[str, int]]: ...
    def claim_job(self, job: Job, due: int, wait: int) -> Job | None: ...


@dataclass(slots=True)
class ReprocessReport:
    """The jobs of a sweep, how many pointers it ``sent``, and whether the time ran out before the last due job."""

    # Due, and claimed by this invocation.
    swept: int = 0
    # Only had to be ended.
    closed: list[Job] = field(default_factory=list)
    # Pointers of open and of reopened jobs.
    sent: int = 0
    # Open, and their messages are probably still in the queue.
    waiting: int = 0
    # Ended, and reopened for their transient failures.
    reopened: int = 0
    # The table or the queue refused a step; they are due again.
    refused: int = 0
    unfinished: bool = False

    def counts(self) -> dict[str, int]:
        """Return the numbers of jobs and pointers."""
        return {each.name: getattr(self, each.name) for each in fields(self)} | {"closed": len(self.closed)}


class Reprocessing:
    """Sweeps jobs that are due; any number of invocations may do so at once."""

    def __init__(
        self,
        store: DueStore,
        queue: Queue,
        sweeps: SweepPolicy,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._queue = queue
        self._sweeps = sweeps
        self._now = now

    def sweep(self, may_go_on: Callable[[], bool] = lambda: True) -> ReprocessReport:
        """Sweep the jobs that are due while there is time for another one; the rest is due at the next sweep."""
        report = ReprocessReport()
        try:
            for client, job_id in self._store.due_jobs(int(self._now().timestamp())):
                if not may_go_on():
                    report.unfinished = True
                    break
                try:
                    self._sweep_job(client, job_id, report)
                except StorageUnavailableError as error:
                    _log.warning("job %d is due again: %s", job_id, error, extra={"client": client, "job_id": job_id})
                    report.refused += 1
        except StorageUnavailableError as error:
            _log.warning("the rest of the jobs is due again: %s", error)
            report.unfinished = True
        return report

    def _sweep_job(self, client: str, job_id: int, report: ReprocessReport) -> None:
        now = self._now()
        job = self._store.job(client, job_id)
        if job is None or not job.is_due(now):
            return  # the index lags behind the table
        if self._sweeps.needs(job, now) is Need.REOPENING:
            self._reopen(job, now, report)
            return
        wait = self._sweeps.next_wait(job)
        claimed = self._store.claim_job(job, int(now.timestamp()) + wait, wait)
        if claimed is None:
            return
        report.swept += 1
        match self._sweeps.needs(claimed, now):
            case Need.CLOSING:
                closed = close(self._store, self._sweeps, claimed, now)
                if closed is not None:
                    report.closed.append(closed)
            case Need.MESSAGES if self._has_messages(job, wait, report):
                report.waiting += 1
            case Need.MESSAGES:
                self._send_missing(claimed, None, report)

    def _reopen(self, job: Job, now: datetime, report: ReprocessReport) -> None:
        """Reopen an ended job. The condition of this write serves as the claim: one write instead of two."""
        reopened = self._store.reopen_job(job, self._sweeps.automatic_run(job, now))
        if reopened is not None:
            _log.info("reopened", extra=job_fields(reopened) | {"run": reopened.run})
            report.swept += 1
            report.reopened += 1
            self._send_missing(reopened, 0, report)

    def _has_messages(self, job: Job, wait: int, report: ReprocessReport) -> bool:
        """Return whether a job's messages may still be in the queue, so sending them again would only duplicate them.

        Once the wait is at its maximum, they are sent in any case: other jobs may fill the queue permanently.
        """
        if job.wait == 0 or wait >= self._sweeps.max_seconds:
            return False
        try:
            return self._queue.backlog() - report.sent >= len(job.missing)
        except StorageUnavailableError as error:
            _log.warning("the length of the queue is unknown: %s", error, extra=job_fields(job))
            return False

    def _send_missing(self, job: Job, turn: int | None, report: ReprocessReport) -> None:
        if send_missing(self._store, self._queue, job, self._now(), turn):
            _log.info("pointers sent again", extra=job_fields(job) | {"pointers": len(job.missing)})
            report.sent += len(job.missing)
        else:
            report.refused += 1
