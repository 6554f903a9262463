"""The write protocol in every order, with a crash at every step; and with each of its rules removed, one by one.

One job of two chunks, messages that are delivered up to three times, a client's retry. The invariants are those of the
runs with faults.
"""

import contextlib
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, cast

import pytest

from retail_pulse.domain.chunks import Chunk, ChunkKey
from retail_pulse.domain.errors import JobIsOpenError, NothingToRetryError
from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.domain.idempotency import IdempotencyKey
from retail_pulse.domain.jobs import ChunkVerdict, Job
from retail_pulse.domain.outcomes import Failure, Measured, Outcome
from retail_pulse.domain.retries import RetryPolicy
from retail_pulse.domain.visits import Visit
from retail_pulse.use_cases import finishing, processing
from retail_pulse.use_cases.batch import BatchReport, Delivery, Findings, Task
from retail_pulse.use_cases.processing import Processing
from retail_pulse.use_cases.retrying import Retrying
from tests.faults.checker import History
from tests.protocol.exploration import Choices, Shared, Stage, executions
from tests.support.fakes import FakeTable
from tests.support.world import Target, World

Outcomes = Mapping[int, Outcome]
Verdicts = Collection[ChunkVerdict]


@dataclass(frozen=True)
class Scenario:
    """A job, the outcomes of its images' attempts, and who works on it.

    Parameters
    ----------
    images
        By URL, the outcome of each attempt: a width, 0 for a transient failure, or -1 for a permanent one; the last
        entry repeats.
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
    in_parts
        Whether each outcome is saved before the next image of its chunk is ready.
    chunk_images
        Maximum number of images in a chunk: with 2, the job has two chunks, with 3 only one.
    """

    images: Mapping[str, list[int]]
    needs_no_reprocess: bool = False
    copies: int = 1
    deliveries: int = 2
    submits: int = 0
    retries: bool = False
    late: str = ""
    attempts: int = 1
    in_parts: bool = False
    chunk_images: int = 2


DOUBLED = Scenario({"flaky": [0, 5, 0, 7], "good": [3], "other": [4]}, True, copies=2, deliveries=3)
RETRIED = Scenario({"flaky": [0, 5], "good": [3], "other": [4]}, deliveries=3, retries=True)
LATE = {
    step: Scenario({"flaky": [0, 0, 5], "good": [3], "other": [4]}, copies=2, deliveries=2, late=step)
    for step in ("save_chunk", "put_visit_rows", "add_chunks", "close_job")
}
REQUEUED = Scenario({"flaky": [0, 5], "good": [3], "other": [4]}, True, copies=2, deliveries=3, attempts=3)
IN_PARTS = {
    "doubled messages": replace(DOUBLED, in_parts=True),
    "a retry": replace(RETRIED, in_parts=True),
    "requeued images": replace(REQUEUED, images={"flaky": [5], "good": [0, 3], "other": [4]}, in_parts=True),
}
# One chunk: its job ends by one update, unless it holds a transient failure.
ONE_CHUNK = {
    "doubled messages": replace(DOUBLED, images={"flaky": [5, 6], "good": [3, 8], "other": [4]}, chunk_images=3),
    "a retry": replace(
        RETRIED, images={"flaky": [-1, 5], "good": [3], "other": [0, 4]}, copies=2, deliveries=2, chunk_images=3
    ),
    "requeued images": replace(REQUEUED, chunk_images=3),
    "late before close_at_once": replace(
        LATE["close_job"], images={"flaky": [-1, 5], "good": [3], "other": [4]}, late="close_at_once", chunk_images=3
    ),
}
SUBMITTED = Scenario({"flaky": [5], "good": [3], "other": [4]}, submits=2, deliveries=1)


class Play(World):
    """One execution of a scenario."""

    def __init__(self, scenario: Scenario, choices: Choices, preemptions: int, crashes: int) -> None:
        self.scenario = scenario
        self.chunk_images = scenario.chunk_images
        self.stage = Stage(choices, preemptions, crashes)
        retries = RetryPolicy(scenario.attempts, 10**6, 60, inline_wait_seconds=0)
        super().__init__(self.attempt, retries, max_unsaved_seconds=0.0 if scenario.in_parts else 10.0)
        self.queue.copies = scenario.copies
        self.history = History()
        self.accepted: set[int] = set()
        self.retried = False
        self.sweeps = 0

    # ---------------------------------------------------------------- the world

    def shared(self, target: Target) -> Target:
        return cast(Target, Shared(target, self.stage))

    def attempt(self, url: str, _seconds: float) -> Measured:
        """Measure as the scenario says; a failure's message names the run that the job is at."""
        script = self.scenario.images[url]
        width = script[min(len(self.attempts[url]), len(script) - 1)]
        if width > 0:
            return Measured("PNG", width, width, 1)
        run = max((job.run for job in self.table.jobs.values()), default=1)
        raise MeasuringError(FailureCode.NOT_AN_IMAGE if width else FailureCode.TIMEOUT, f"run {run}")

    def submit_once(self) -> None:
        visits = [Visit("A", "2026-11-23", ["flaky", "good"]), Visit("B", "2026-11-23", ["other"])]
        job = self.submission.submit_once("me", visits, IdempotencyKey("key", "hash"))
        self.accepted.add(job.job_id)

    def deliver_first(self, chunks: Collection[int] = (0, 1)) -> None:
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

    def has_message(self) -> bool:
        return any(not message.is_taken for message in self.queue.waiting)

    def retry(self) -> None:
        self.retried = True
        (job,) = self.table.jobs.values()
        with contextlib.suppress(JobIsOpenError, NothingToRetryError):
            self.retrying.retry("me", job.job_id)

    # ---------------------------------------------------------------- the play

    def go(self) -> list[str]:
        """Play, then do everything that is left in order, without faults; return the violations."""
        if not self.scenario.submits:
            self.submit_once()
        if self.scenario.late:
            self.hold_up(self.scenario.late)
        for number in range(self.scenario.submits):
            self.stage.add(f"submit {number}", self.submit_once)
        for number in range(self.scenario.deliveries):
            self.stage.add(f"worker {number}", self.deliver_first, self.has_message)
        if self.scenario.retries:
            self.stage.add("client", self.retry, lambda: any(not job.open for job in self.table.jobs.values()))
        self.stage.after_each_step = self.record
        self.stage.play()
        for _ in range(20):
            if not self.table.jobs:
                self.submit_once()
            self.clock += timedelta(seconds=100)
            if self.queue.waiting:
                self.deliver_first()
            elif any(job.open for job in self.table.jobs.values()):
                self.clock += timedelta(hours=1)
                self.sweep()
                self.sweeps += 1
            elif self.scenario.retries and not self.retried:
                self.retry()
            else:
                break
            self.record()
        return [*self.violations(self.accepted), *self.broken_rules(), *self.history.violations]

    def hold_up(self, step: str) -> None:
        """Stop a worker before a step of run 1, end the job without it, and retry it."""
        while any(message.pointer.chunk for message in self.queue.waiting):
            self.deliver_first(chunks=[1])
        self.stage.add("late worker", self.deliver_first)
        self.stage.run_until("late worker", step)
        self.deliver_first()
        self.retry()

    def record(self) -> None:
        """Record the state of the tables after a step, and check it against the states before."""
        for job in self.table.jobs.values():
            chunks = [self.table.stored[job.key_of(number)] for number in range(job.chunks)]
            if not job.open and not all(chunk.is_done for chunk in chunks):
                self.history.violations.append("a job has ended whose chunks have not")
        self.history.saw_jobs(self.table.jobs.values())
        self.history.saw_chunks(self.table.stored)

    def broken_rules(self) -> Iterator[str]:
        if self.sweeps and self.scenario.needs_no_reprocess:
            yield "only reprocess could end the job"
        if len(self.table.jobs) != 1:
            yield f"{len(self.table.jobs)} jobs"
        for chunk in self.table.stored.values():
            for outcome in chunk.outcomes.values():
                if isinstance(outcome, Failure) and int(outcome.message.split()[1]) < chunk.run:
                    yield f"chunk {chunk.number} at run {chunk.run} holds a failure of {outcome.message}"


def first_violation(scenario: Scenario, preemptions: int, crashes: int) -> tuple[int, list[str]]:
    """Run executions until one breaks an invariant; return how many there were, and the violations."""
    for count, choices in enumerate(executions(), 1):
        play = Play(scenario, choices, preemptions, crashes)
        found = play.go()
        if found:
            return count, [*found, *play.stage.trace]
    return count, []


# ------------------------------------------------------------------ the protocol


# Scenario, preemptions, crashes.
Bounds = tuple[Scenario, int, int]
BOUNDS: dict[str, Bounds] = {
    "doubled messages, two preemptions": (DOUBLED, 2, 0),
    "doubled messages, a crash and a preemption": (DOUBLED, 1, 1),
    "doubled messages, two crashes": (DOUBLED, 0, 2),
    "a retry, two preemptions": (RETRIED, 2, 0),
    "a retry, a crash and a preemption": (RETRIED, 1, 1),
    **{f"late before {step}, two preemptions": (scenario, 2, 0) for step, scenario in LATE.items()},
    **{f"late before {step}, a crash and a preemption": (scenario, 1, 1) for step, scenario in LATE.items()},
    "requeued images, a preemption": (REQUEUED, 1, 0),
    "requeued images, two crashes": (REQUEUED, 0, 2),
    **{f"{name}, saved in parts, a preemption": (scenario, 1, 0) for name, scenario in IN_PARTS.items()},
    **{f"{name}, saved in parts, a crash": (scenario, 0, 1) for name, scenario in IN_PARTS.items()},
    **{f"one chunk, {name}, two preemptions": (scenario, 2, 0) for name, scenario in ONE_CHUNK.items()},
    **{f"one chunk, {name}, a crash and a preemption": (scenario, 1, 1) for name, scenario in ONE_CHUNK.items()},
    "two submissions with one key, two preemptions": (SUBMITTED, 2, 0),
    "two submissions with one key, a crash and a preemption": (SUBMITTED, 1, 1),
}


@pytest.mark.parametrize("bounds", BOUNDS.values(), ids=BOUNDS)
def test_the_invariants_hold_in_every_order_and_with_a_crash_at_every_step(bounds: Bounds) -> None:
    count, broken = first_violation(*bounds)
    assert broken == []
    assert count > 20


# ------------------------------------------------------------------ tests of the tests

# A mutant takes the place of a method or a function, which it gets as its first argument.
Original = Callable[..., Any]


def save_without_run(save: Original, table: FakeTable, key: ChunkKey, _run: int, outcomes: Outcomes) -> Any:
    return save(table, key, table.stored[key].run, outcomes)


def add_without_run(add: Original, table: FakeTable, client: str, job_id: int, _run: int, verdicts: Verdicts) -> Any:
    return add(table, client, job_id, table.jobs[client, job_id].run, verdicts)


def close_without_run(close: Original, table: FakeTable, job: Job, *how: Any) -> Any:
    return close(table, table.jobs[job.client, job.job_id], *how)


def close_at_once_without_run(close: Original, table: FakeTable, client: str, job_id: int, _run: int, *how: Any) -> Any:
    return close(table, client, job_id, table.jobs[client, job_id].run, *how)


def pointers_to_the_only_chunk(pointer_to: Original, *which: Any) -> Any:
    """Return a pointer that makes each chunk end its job at once."""
    return pointer_to(*which)._replace(chunks=1)


def own_outcomes_in_the_rows(save: Original, worker: Processing, findings: Findings, report: BatchReport) -> Any:
    saved = save(worker, findings, report)
    if saved is None:
        return None
    return replace(saved, chunk=replace(saved.chunk, outcomes={**saved.chunk.outcomes, **findings.outcomes}))


def done_chunks_dropped(open_: Original, *batch: Any) -> Iterator[Task]:
    return (task for task in open_(*batch) if not task.chunk.is_done)


def last_outcome_wins(save: Original, table: FakeTable, key: ChunkKey, run: int, outcomes: Outcomes) -> Any:
    """Save without ``if_not_exists``."""
    saved = save(table, key, run, outcomes)
    if saved is not None:
        table.stored[key] = saved = replace(saved, outcomes={**saved.outcomes, **outcomes})
    return saved


def chunks_reopened_before_the_job(retry: Original, retrying: Retrying, client: str, job_id: int) -> Any:
    store: Any = retrying.store
    job = store.job(client, job_id)
    if not job.open:
        for number in sorted(job.failed):
            chunk = store.chunks([job.key_of(number)])[job.key_of(number)]
            store.reopen_chunk(job.key_of(number), chunk, job.run + 1, chunk.reopened_by(job.scope))
    return retry(retrying, client, job_id)


def rows_of_half_measured_visits(rows: Original, task: Task) -> Any:
    """Count an image that is not measured as one without a perimeter."""
    measured = {index: outcome for index, outcome in task.chunk.outcomes.items() if isinstance(outcome, Measured)}
    outcomes = dict.fromkeys(range(task.chunk.size), Measured("PNG", 0, 0, 0)) | measured
    return rows(replace(task, chunk=replace(task.chunk, outcomes=outcomes)))


def chunk_keys_without_nonce(_token_urlsafe: Original, _bytes: int) -> str:
    return "always the same"


def counter_in_place_of_a_set(
    add: Original, table: FakeTable, client: str, job_id: int, run: int, verdicts: Verdicts
) -> Any:
    before = table.jobs[client, job_id]
    job = add(table, client, job_id, run, verdicts)
    if job is not None and len(job.done) < len(before.done) + len(verdicts):
        table.jobs[client, job_id] = job = replace(job, done=job.done | frozenset(job.missing[:1]))
    return job


def earlier_turns_always_dropped(_is_of_an_earlier_turn: Original, delivery: Delivery, chunk: Chunk) -> bool:
    """Drop the message of a worker that died between its save and its sending, too."""
    return (delivery.pointer.turn or 0) < chunk.turn and not chunk.is_done


# What is replaced, the mutant, and a scenario with its preemptions and crashes.
MUTANTS: list[tuple[Any, str, Original, Bounds]] = [
    (FakeTable, "save_chunk", save_without_run, (LATE["save_chunk"], 1, 0)),
    (FakeTable, "save_chunk", save_without_run, (replace(LATE["save_chunk"], in_parts=True), 1, 0)),
    (FakeTable, "add_chunks", add_without_run, (LATE["add_chunks"], 0, 0)),
    (FakeTable, "close_job", close_without_run, (LATE["close_job"], 0, 0)),
    (FakeTable, "close_at_once", close_at_once_without_run, (ONE_CHUNK["late before close_at_once"], 0, 0)),
    (Job, "pointer_to", pointers_to_the_only_chunk, (IN_PARTS["doubled messages"], 0, 0)),
    (Processing, "_save", own_outcomes_in_the_rows, (DOUBLED, 1, 1)),
    (Processing, "_open", done_chunks_dropped, (DOUBLED, 0, 1)),
    (FakeTable, "save_chunk", last_outcome_wins, (DOUBLED, 1, 0)),
    (Retrying, "retry", chunks_reopened_before_the_job, (RETRIED, 0, 1)),
    (finishing, "_rows", rows_of_half_measured_visits, (DOUBLED, 0, 0)),
    (secrets, "token_urlsafe", chunk_keys_without_nonce, (SUBMITTED, 1, 0)),
    (FakeTable, "add_chunks", counter_in_place_of_a_set, (DOUBLED, 0, 0)),
    (processing, "_is_of_an_earlier_turn", earlier_turns_always_dropped, (REQUEUED, 0, 1)),
]


@pytest.mark.parametrize(("owner", "name", "mutant", "bounds"), MUTANTS, ids=[each[2].__name__ for each in MUTANTS])
def test_each_removed_rule_breaks_an_invariant(
    owner: Any, name: str, mutant: Original, bounds: Bounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = getattr(owner, name)
    monkeypatch.setattr(owner, name, lambda *args: mutant(original, *args))
    _, broken = first_violation(*bounds)
    assert broken
