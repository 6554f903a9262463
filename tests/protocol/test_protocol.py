"""The write protocol in every order, with a crash at every step; and with each of its rules removed, one by one.

One job of two chunks, messages that are delivered up to three times, a client's retry. The invariants are those of the
runs with faults.
"""

import contextlib
import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from retail_pulse.domain.chunks import Chunk, ChunkKey
from retail_pulse.domain.errors import JobIsOpenError, NothingToRetryError
from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.domain.idempotency import IdempotencyKey
from retail_pulse.domain.jobs import ChunkVerdict, Job, JobStatus, SweepPolicy
from retail_pulse.domain.outcomes import Failure, Measured, Outcome
from retail_pulse.domain.retries import RetryPolicy
from retail_pulse.domain.visits import Visit, VisitRow
from retail_pulse.use_cases import processing
from retail_pulse.use_cases.batch import BatchReport, Delivery, Findings, Task
from retail_pulse.use_cases.chunk_measurer import ChunkMeasurer
from retail_pulse.use_cases.processing import Processing
from retail_pulse.use_cases.reprocessing import Reprocessing
from retail_pulse.use_cases.retrying import Retrying
from retail_pulse.use_cases.submission import Submission
from tests.faults.checker import Contents, History, Truth, check
from tests.protocol.exploration import Choices, Shared, Stage, executions
from tests.support.fakes import FakeQueue, FakeTable, PoolWithoutThreads

START = datetime(2026, 11, 23, 12, tzinfo=UTC)
STALL = 900
SWEEPS = SweepPolicy(STALL, automatic_runs=0)


@dataclass(frozen=True)
class Scenario:
    """A job, the outcomes of its images' attempts, and who works on it.

    Parameters
    ----------
    images
        By URL, the outcome of each attempt: a width, or 0 for a transient failure; the last entry repeats.
    needs_no_reprocess
        Whether the job must end by its messages only.
    copies, deliveries
        How often each message is in the queue, and how many workers take one each within the play.
    submits
        Clients that submit the job at once, all with one idempotency key; with 0, the job exists from the start.
    retries
        Whether the client retries the job within the play.
    late
        A worker of the first chunk stops before this step of run 1. By its doubled message the job ends, and the client
        retries it. The play begins there, and the late worker continues in it.
    attempts
        Maximum number of attempts of an image in a run.
    """

    images: Mapping[str, list[int]]
    needs_no_reprocess: bool = False
    copies: int = 1
    deliveries: int = 2
    submits: int = 0
    retries: bool = False
    late: str = ""
    attempts: int = 1


DOUBLED = Scenario({"flaky": [0, 5, 0, 7], "good": [3], "other": [4]}, True, copies=2, deliveries=3)
RETRIED = Scenario({"flaky": [0, 5], "good": [3], "other": [4]}, deliveries=3, retries=True)
LATE = {
    step: Scenario({"flaky": [0, 0, 5], "good": [3], "other": [4]}, copies=2, deliveries=2, late=step)
    for step in ("save_chunk", "put_visit_rows", "add_chunks", "close_job")
}
REQUEUED = Scenario({"flaky": [0, 5], "good": [3], "other": [4]}, True, copies=2, deliveries=3, attempts=3)
SUBMITTED = Scenario({"flaky": [5], "good": [3], "other": [4]}, submits=2, deliveries=1)


class Parts:
    """The classes that a mutant may replace."""

    table: type[FakeTable] = FakeTable
    processing: type[Processing] = Processing
    retrying: type[Retrying] = Retrying

    @classmethod
    def patch(cls, monkeypatch: pytest.MonkeyPatch) -> None:
        """Change what is not in one of the three classes."""


class Play:
    """One execution of a scenario."""

    def __init__(
        self, scenario: Scenario, parts: type[Parts], choices: Choices, preemptions: int, crashes: int
    ) -> None:
        self.scenario = scenario
        self.stage = Stage(choices, preemptions, crashes)
        self.real_table = parts.table()
        self.clock = START
        self.queue = FakeQueue(lambda: self.clock, scenario.copies)
        self.fetches: dict[str, list[tuple[int, Outcome]]] = {url: [] for url in scenario.images}
        self.history = History()
        table: Any = Shared(self.real_table, self.stage)
        queue: Any = Shared(self.queue, self.stage)
        self.submission = Submission(
            table, queue, 2, 10**6, timedelta(days=90), timedelta(seconds=STALL), lambda: self.clock
        )
        retries = RetryPolicy(scenario.attempts, 10**6, first_wait_seconds=60, inline_wait_seconds=0)
        measurer = ChunkMeasurer(
            lambda _: True, PoolWithoutThreads(self.measure), retries, lambda: self.clock, lambda: 1.0
        )
        self.processing = parts.processing(table, queue, measurer, SWEEPS, lambda: self.clock, lambda: 1.0)
        self.retrying = parts.retrying(table, queue, SWEEPS, lambda: self.clock)
        self.reprocessing = Reprocessing(table, queue, SWEEPS, lambda: self.clock)
        self.accepted: set[int] = set()
        self.retried = False
        self.sweeps = 0

    # ---------------------------------------------------------------- the world

    def measure(self, url: str) -> Measured:
        """Measure as the scenario says; a failure's message names the run that the job is at."""
        script = self.scenario.images[url]
        width = script[min(len(self.fetches[url]), len(script) - 1)]
        run = max((job.run for job in self.real_table.jobs.values()), default=1)
        if width:
            measured = Measured("PNG", width, width, 1)
            self.fetches[url].append((run, measured))
            return measured
        error = MeasuringError(FailureCode.TIMEOUT, f"run {run}")
        self.fetches[url].append((run, Failure.of(error)))
        raise error

    def submit(self) -> None:
        visits = [Visit("A", "2026-11-23", ["flaky", "good"]), Visit("B", "2026-11-23", ["other"])]
        job = self.submission.submit_once("me", visits, IdempotencyKey("key", "hash"))
        self.accepted.add(job.job_id)

    def deliver(self, chunks: Collection[int] = (0, 1)) -> None:
        """Process the first message that no worker has, before its delay too; if the worker dies, it comes again."""
        message = next(each for each in self.queue.waiting if not each.is_taken and each.pointer.chunk in chunks)
        message.is_taken = True
        message.receives += 1
        try:
            report = self.processing.process([Delivery("m", message.pointer, message.receives)])
            if not report.failed_messages:
                self.queue.waiting.remove(message)
        finally:
            message.is_taken = False

    def retry(self) -> None:
        self.retried = True
        (job,) = self.real_table.jobs.values()
        with contextlib.suppress(JobIsOpenError, NothingToRetryError):
            self.retrying.retry("me", job.job_id)

    # ---------------------------------------------------------------- the play

    def go(self) -> list[str]:
        """Play, then do everything that is left in order, without faults; return the violations."""
        if not self.scenario.submits:
            self.submit()
        if self.scenario.late:
            self.hold_up(self.scenario.late)
        for number in range(self.scenario.submits):
            self.stage.add(f"submit {number}", self.submit)
        for number in range(self.scenario.deliveries):
            self.stage.add(
                f"worker {number}", self.deliver, lambda: any(not message.is_taken for message in self.queue.waiting)
            )
        if self.scenario.retries:
            self.stage.add("client", self.retry, lambda: any(not job.open for job in self.real_table.jobs.values()))
        self.stage.after_each_step = self.record
        self.stage.play()
        for _ in range(20):
            if not self.real_table.jobs:
                self.submit()
            self.clock += timedelta(seconds=100)
            if self.queue.waiting:
                self.deliver()
            elif any(job.open for job in self.real_table.jobs.values()):
                self.clock += timedelta(hours=1)
                self.reprocessing.sweep()
                self.sweeps += 1
            elif self.scenario.retries and not self.retried:
                self.retry()
            else:
                break
            self.record()
        return [*self.violations(), *self.history.violations]

    def hold_up(self, step: str) -> None:
        """Stop a worker before a step of run 1, end the job without it, and retry it."""
        while any(message.pointer.chunk for message in self.queue.waiting):
            self.deliver(chunks=[1])
        self.stage.add("late worker", self.deliver)
        self.stage.run_until("late worker", step)
        self.deliver()
        self.retry()

    def record(self) -> None:
        """Record the state of the tables after a step, and check it against the states before."""
        for job in self.real_table.jobs.values():
            chunks = [self.real_table.stored[job.key_of(number)] for number in range(job.chunks)]
            if not job.open and not all(chunk.is_done for chunk in chunks):
                self.history.violations.append("a job has ended whose chunks have not")
        self.history.saw_jobs(self.real_table.jobs.values())
        self.history.saw_chunks(self.real_table.stored)

    def violations(self) -> Iterator[str]:
        truth = {url: Truth.of([outcome for _, outcome in fetched]) for url, fetched in self.fetches.items()}
        accepted = [("me", job_id) for job_id in self.accepted]
        yield from check(Contents.of_fake(self.real_table), truth, lambda _: True, {}, accepted)
        if self.sweeps and self.scenario.needs_no_reprocess:
            yield "only reprocess could end the job"
        if len(self.real_table.jobs) != 1:
            yield f"{len(self.real_table.jobs)} jobs"
        for chunk in self.real_table.stored.values():
            for outcome in chunk.outcomes.values():
                if isinstance(outcome, Failure) and int(outcome.message.split()[1]) < chunk.run:
                    yield f"chunk {chunk.number} at run {chunk.run} holds a failure of {outcome.message}"


def first_violation(
    scenario: Scenario, parts: type[Parts] = Parts, preemptions: int = 0, crashes: int = 0
) -> tuple[int, list[str]]:
    """Run executions until one breaks an invariant; return how many there were, and the violations."""
    count = 0
    for choices in executions():
        count += 1
        play = Play(scenario, parts, choices, preemptions, crashes)
        found = play.go()
        if found:
            return count, [*found, *play.stage.trace]
    return count, []


# ------------------------------------------------------------------ the protocol


# Scenario, preemptions, crashes.
BOUNDS = {
    "doubled messages, two preemptions": (DOUBLED, 2, 0),
    "doubled messages, a crash and a preemption": (DOUBLED, 1, 1),
    "doubled messages, two crashes": (DOUBLED, 0, 2),
    "a retry, two preemptions": (RETRIED, 2, 0),
    "a retry, a crash and a preemption": (RETRIED, 1, 1),
    **{f"late before {step}, two preemptions": (scenario, 2, 0) for step, scenario in LATE.items()},
    **{f"late before {step}, a crash and a preemption": (scenario, 1, 1) for step, scenario in LATE.items()},
    "requeued images, a preemption": (REQUEUED, 1, 0),
    "requeued images, two crashes": (REQUEUED, 0, 2),
    "two submissions with one key, two preemptions": (SUBMITTED, 2, 0),
    "two submissions with one key, a crash and a preemption": (SUBMITTED, 1, 1),
}


@pytest.mark.parametrize("bounds", BOUNDS.values(), ids=BOUNDS)
def test_the_invariants_hold_in_every_order_and_with_a_crash_at_every_step(bounds: tuple[Scenario, int, int]) -> None:
    scenario, preemptions, crashes = bounds
    count, broken = first_violation(scenario, Parts, preemptions, crashes)
    assert broken == []
    assert count > 20


# ------------------------------------------------------------------ tests of the tests


class SaveWithoutRun(Parts):
    class table(FakeTable):
        def save_chunk(self, key: ChunkKey, run: int, outcomes: Mapping[int, Outcome]) -> Chunk | None:
            return super().save_chunk(key, self.stored[key].run, outcomes)


class AddWithoutRun(Parts):
    class table(FakeTable):
        def add_chunks(self, client: str, job_id: int, run: int, verdicts: Collection[ChunkVerdict]) -> Job | None:
            return super().add_chunks(client, job_id, self.jobs[client, job_id].run, verdicts)


class CloseWithoutRun(Parts):
    class table(FakeTable):
        def close_job(self, job: Job, status: JobStatus, ended_at: datetime, due: int | None) -> Job | None:
            return super().close_job(self.jobs[job.client, job.job_id], status, ended_at, due)


class OwnOutcomesInTheRows(Parts):
    class processing(Processing):
        def _save(self, findings: Findings, report: BatchReport) -> Task | None:
            saved = super()._save(findings, report)
            if saved is None:
                return None
            return replace(saved, chunk=replace(saved.chunk, outcomes={**saved.chunk.outcomes, **findings.outcomes}))


class DoneChunksDropped(Parts):
    class processing(Processing):
        def _open(self, deliveries: Sequence[Delivery], report: BatchReport) -> Iterator[Task]:
            return (task for task in super()._open(deliveries, report) if not task.chunk.is_done)


class LastOutcomeWins(Parts):
    """Save without ``if_not_exists``."""

    class table(FakeTable):
        def save_chunk(self, key: ChunkKey, run: int, outcomes: Mapping[int, Outcome]) -> Chunk | None:
            saved = super().save_chunk(key, run, outcomes)
            if saved is not None:
                self.stored[key] = saved = replace(saved, outcomes={**saved.outcomes, **outcomes})
            return saved


class ChunksReopenedBeforeTheJob(Parts):
    class retrying(Retrying):
        def retry(self, client: str, job_id: int) -> Job:
            store: Any = self.store
            job = store.job(client, job_id)
            if not job.open:
                for number in sorted(job.failed):
                    chunk = store.chunks([job.key_of(number)])[job.key_of(number)]
                    store.reopen_chunk(job.key_of(number), chunk, job.run + 1, chunk.reopened_by(job.scope))
            return super().retry(client, job_id)


class RowsOfHalfMeasuredVisits(Parts):
    @classmethod
    def patch(cls, monkeypatch: pytest.MonkeyPatch) -> None:
        def rows(tasks: Iterable[Task]) -> Iterator[tuple[VisitRow, int]]:
            for task in tasks:
                first = 0
                for part in task.chunk.parts:
                    images = range(first, first + len(part.image_urls))
                    first = images.stop
                    measured = [o for i in images if isinstance(o := task.chunk.outcomes.get(i), Measured)]
                    yield VisitRow(
                        task.pointer.client, task.pointer.job_id, part.visit, part.part, part.parts, part.store_id,
                        part.visit_time, sum(outcome.perimeter for outcome in measured), len(measured),
                    ), 0  # fmt: skip

        monkeypatch.setattr(processing, "_rows", rows)


class ChunkKeysWithoutNonce(Parts):
    @classmethod
    def patch(cls, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(secrets, "token_urlsafe", lambda _: "always the same")


class CounterInPlaceOfASet(Parts):
    class table(FakeTable):
        def add_chunks(self, client: str, job_id: int, run: int, verdicts: Collection[ChunkVerdict]) -> Job | None:
            before = self.jobs[client, job_id]
            job = super().add_chunks(client, job_id, run, verdicts)
            if job is not None and len(job.done) < len(before.done) + len(verdicts):
                self.jobs[client, job_id] = job = replace(job, done=job.done | frozenset(job.missing[:1]))
            return job


class EarlierTurnsAlwaysDropped(Parts):
    """Drop the message of a worker that died between its save and its sending, too."""

    @classmethod
    def patch(cls, monkeypatch: pytest.MonkeyPatch) -> None:
        def is_of_an_earlier_turn(delivery: Delivery, chunk: Chunk) -> bool:
            return (delivery.pointer.turn or 0) < chunk.turn and not chunk.is_done

        monkeypatch.setattr(processing, "_is_of_an_earlier_turn", is_of_an_earlier_turn)


MUTANTS: list[tuple[type[Parts], Scenario, int, int]] = [
    (SaveWithoutRun, LATE["save_chunk"], 1, 0),
    (AddWithoutRun, LATE["add_chunks"], 0, 0),
    (CloseWithoutRun, LATE["close_job"], 0, 0),
    (OwnOutcomesInTheRows, DOUBLED, 1, 1),
    (DoneChunksDropped, DOUBLED, 0, 1),
    (LastOutcomeWins, DOUBLED, 1, 0),
    (ChunksReopenedBeforeTheJob, RETRIED, 0, 1),
    (RowsOfHalfMeasuredVisits, DOUBLED, 0, 0),
    (ChunkKeysWithoutNonce, SUBMITTED, 1, 0),
    (CounterInPlaceOfASet, DOUBLED, 0, 0),
    (EarlierTurnsAlwaysDropped, REQUEUED, 0, 1),
]


@pytest.mark.parametrize(
    ("mutant", "scenario", "preemptions", "crashes"), MUTANTS, ids=lambda v: getattr(v, "__name__", "")
)
def test_each_removed_rule_breaks_an_invariant(
    mutant: type[Parts], scenario: Scenario, preemptions: int, crashes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant.patch(monkeypatch)
    _, broken = first_violation(scenario, mutant, preemptions, crashes)
    assert broken
