"""Use case: what stalled, or may be tried again, goes back to the queue (steps 10 to 12 of the write protocol)."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from retail_pulse.domain.errors import StorageUnavailableError
from retail_pulse.domain.jobs import Job, SweepPolicy
from retail_pulse.use_cases.steps import ClosingStore, PointerSender, ReopeningStore, close, send_missing

_log = logging.getLogger(__name__)


class Queue(PointerSender, Protocol):
    """What reprocessing needs of the queue."""

    def backlog(self) -> int:
        """Return about how many messages it holds."""


class DueStore(ReopeningStore, ClosingStore, Protocol):
    """What reprocessing needs of the table."""

    def due_jobs(self, now: int) -> Iterator[tuple[str, int]]:
        """Yield client and id of the jobs that are due."""

    def claim_job(self, job: Job, due: int, wait: int) -> Job | None:
        """Claim the look at a due job."""


@dataclass(slots=True)
class ReprocessReport:
    """What a look at the due jobs came to.

    Parameters
    ----------
    looked
        Jobs that were due and are this invocation's.
    closed
        Jobs that had nothing left but to be ended.
    sent
        Pointers sent, of open jobs and of those opened again.
    waiting
        Open jobs whose messages are still in the queue, as far as its length tells.
    reopened
        Ended jobs that were opened again for their transient failures.
    refused
        Jobs that the table or the queue refused a step of; they are due again.
    unfinished
        Whether the time ran out before the last one.
    """

    swept: int = 0
    closed: int = 0
    sent: int = 0
    waiting: int = 0
    reopened: int = 0
    refused: int = 0
    unfinished: bool = False


class Reprocessing:
    """Looks at jobs that are due; any number of invocations may do so at once.

    Parameters
    ----------
    store, queue
        The table and the queue.
    looks
        When to look at a job.
    now
        The clock.
    """

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
        """Look at the jobs that are due, until there is none left or the time is short.

        Parameters
        ----------
        may_go_on
            Tells whether there is time for another job.

        Returns
        -------
        ReprocessReport
            What is left over is due at the next look.
        """
        report = ReprocessReport()
        try:
            for client, job_id in self._store.due_jobs(int(self._now().timestamp())):
                if not may_go_on():
                    report.unfinished = True
                    break
                try:
                    self._sweep_job(client, job_id, report)
                except StorageUnavailableError as error:
                    _log.warning("job %d is looked at again: %s", job_id, error)
                    report.refused += 1
        except StorageUnavailableError as error:
            _log.warning("the rest is looked at again: %s", error)
            report.unfinished = True
        return report

    def _sweep_job(self, client: str, job_id: int, report: ReprocessReport) -> None:
        now = self._now()
        job = self._store.job(client, job_id)
        if job is None or job.due is None or job.due > now.timestamp():
            return  # the index is behind the table
        if not job.open and self._sweeps.may_reopen(job) and not job.has_expired(now):
            # The job's own condition is claim enough: one write instead of two.
            reopened = self._store.reopen_job(job, self._sweeps.automatic_run(job, now))
            if reopened is not None:
                report.swept += 1
                report.reopened += 1
                self._send(reopened, 0, report)
            return
        wait = self._sweeps.next_wait(job)
        claimed = self._store.claim_job(job, int(now.timestamp()) + wait, wait)
        if claimed is None:
            return
        report.swept += 1
        if not claimed.open or claimed.has_expired(now):
            return
        if claimed.all_done:
            if close(self._store, self._sweeps, claimed, now) is not None:
                report.closed += 1
        elif self._is_behind_others(job, wait, report):
            report.waiting += 1
        else:
            self._send(claimed, None, report)

    def _is_behind_others(self, job: Job, wait: int, report: ReprocessReport) -> bool:
        """Tell whether a job's messages may well be in the queue still: then more of them would only double it.

        A job that has made no progress for so long that the wait has grown to its end is sent all the same: the queue
        may be full of others' messages for ever.
        """
        if job.wait == 0 or wait >= self._sweeps.max_seconds:
            return False
        try:
            return self._queue.backlog() - report.sent >= len(job.missing)
        except StorageUnavailableError as error:
            _log.warning("the queue's length is unknown: %s", error)
            return False

    def _send(self, job: Job, turn: int | None, report: ReprocessReport) -> None:
        if send_missing(self._store, self._queue, job, self._now(), turn):
            report.sent += len(job.missing)
        else:
            report.refused += 1
