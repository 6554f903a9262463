"""Any sequence of submissions, deliveries, deaths, refusals, losses and sweeps leads to tables that the checker passes.

A state machine of Hypothesis draws the steps; each example ends when everything has come to rest, without faults.
"""

import contextlib
from collections.abc import Mapping
from datetime import timedelta
from itertools import count
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from retail_pulse.domain.errors import JobIsOpenError, NothingToRetryError, StorageUnavailableError
from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.domain.idempotency import IdempotencyKey
from retail_pulse.domain.outcomes import Measured
from retail_pulse.domain.retries import RetryPolicy
from retail_pulse.domain.visits import Visit
from tests.faults.checker import History
from tests.support.fakes import Killed, Message
from tests.support.world import STALL, World

RETRIES = RetryPolicy(3, 1000, first_wait_seconds=10, inline_wait_seconds=0)
# The outcome of each attempt of an image: a width, or the failure; the last entry repeats.
SCRIPTS: Mapping[str, list[int | MeasuringError]] = {
    "good": [7],
    "changing": [3, 4, 5, 6],
    "transient": [MeasuringError(FailureCode.TIMEOUT, "too slow")],
    "flaky": [MeasuringError(FailureCode.TIMEOUT, "too slow")] * 4 + [9],
    "permanent": [MeasuringError(FailureCode.NOT_AN_IMAGE, "no image")],
}
DEATHS = st.sampled_from(["die_before", "die_after", "refuse"])
MEANWHILE = st.sampled_from(["deliver", "retry", "sweep"])
VISITS = st.lists(st.builds(
    Visit, st.sampled_from(["A", "B", "nobody"]), st.just("now"),
    st.lists(st.sampled_from(sorted(SCRIPTS)), min_size=1, max_size=4),
), min_size=1, max_size=3)  # fmt: skip


class Rules(RuleBasedStateMachine):
    """The service in memory, and everything that can go wrong around it."""

    @initialize(automatic_runs=st.integers(0, 2))
    def begin(self, automatic_runs: int) -> None:
        self.world = World(self.measure, RETRIES, automatic_runs)
        self.history = History()
        self.accepted: list[int] = []
        # Every image has a different URL, so that the server's log tells them apart.
        self.numbers = count()
        self.deaths = 0
        self.meanwhile: list[str] = []

    def measure(self, url: str, _seconds: float) -> Measured:
        meanwhile, self.meanwhile = self.meanwhile, []
        for action in meanwhile:
            self.do(action)
            self.record()
        script = SCRIPTS[url.partition("/")[0]]
        entry = script[min(len(self.world.attempts[url]), len(script) - 1)]
        if isinstance(entry, MeasuringError):
            raise entry
        return Measured("PNG", entry, entry, 1)

    def do(self, action: str) -> None:
        """Do something else while a worker measures an image."""
        if action == "sweep":
            self.world.sweep()
        elif action == "deliver":
            self.world.deliver()
        else:
            for job_id in self.accepted:
                # A refusal must not reach the worker, which would mistake it for the image's failure.
                with contextlib.suppress(JobIsOpenError, NothingToRetryError, StorageUnavailableError):
                    self.world.retrying.retry("me", job_id)

    def with_fault(self, fault: str | None, write: int) -> None:
        faults = self.world.table.faults
        faults.die_before = faults.die_after = faults.refuse = None
        if fault is not None:
            setattr(faults, fault, faults.writes + write)

    # ---------------------------------------------------------------- what clients do

    @rule(visits=VISITS, name=st.none() | st.sampled_from(["one", "two"]), fault=st.none() | DEATHS,
          write=st.integers(1, 3), queue_refuses=st.booleans())  # fmt: skip
    def submit(self, visits: list[Visit], name: str | None, fault: str | None, write: int, queue_refuses: bool) -> None:
        own = [
            Visit(visit.store_id, visit.visit_time, [f"{kind}/{next(self.numbers)}" for kind in visit.image_urls])
            for visit in visits
        ]
        self.with_fault(fault, write)
        self.world.queue.refuses = queue_refuses
        submission = self.world.submission
        with contextlib.suppress(Killed, StorageUnavailableError):
            if name is None:
                job = submission.submit("me", own)
            else:
                job = submission.submit_once("me", own, IdempotencyKey.of(name, b"the same body"))
            self.accepted.append(job.job_id)
        self.world.queue.refuses = False

    @precondition(lambda self: self.accepted)
    @rule(data=st.data(), fault=st.none() | DEATHS)
    def retry(self, data: st.DataObject, fault: str | None) -> None:
        self.with_fault(fault, 1)
        with contextlib.suppress(Killed, StorageUnavailableError, JobIsOpenError, NothingToRetryError):
            self.world.retrying.retry("me", data.draw(st.sampled_from(self.accepted)))

    # ---------------------------------------------------------------- what the queue does

    @precondition(lambda self: self.world.queue.waiting)
    @rule(fault=st.none() | DEATHS, write=st.integers(1, 8), copies=st.integers(1, 3), receives=st.integers(1, 4),
          images=st.integers(0, 9), limit=st.integers(1, 5), meanwhile=st.lists(MEANWHILE, max_size=4))  # fmt: skip
    def deliver(
        self, fault: str | None, write: int, copies: int, receives: int, images: int, limit: int, meanwhile: list[str]
    ) -> None:
        """Deliver some messages; while the first image is measured, other things may happen."""
        self.meanwhile = meanwhile
        self.with_fault(fault, write)
        started = len(self.world.fetched)
        try:
            self.world.deliver(receives, lambda: len(self.world.fetched) < started + images, copies, limit)
        except Killed:
            self.deaths += 1
            self.meanwhile = []
            # A worker that died holds its chunks no longer than its lease.
            self.world.clock += timedelta(seconds=1000)

    @precondition(lambda self: self.world.queue.waiting)
    @rule(data=st.data(), doubled=st.booleans())
    def lose_or_double(self, data: st.DataObject, doubled: bool) -> None:
        waiting = self.world.queue.waiting
        at = data.draw(st.integers(0, len(waiting) - 1))
        if doubled:
            seconds = data.draw(st.sampled_from([0, 0, 60, 2000]))
            waiting.append(Message(waiting[at].pointer, self.world.clock + timedelta(seconds=seconds)))
        else:
            del waiting[at]

    @precondition(lambda self: len(self.world.queue.waiting) > 1)
    @rule(data=st.data())
    def reorder(self, data: st.DataObject) -> None:
        self.world.queue.waiting = data.draw(st.permutations(self.world.queue.waiting))

    # ---------------------------------------------------------------- what time does

    @rule(seconds=st.integers(1, 4 * STALL))
    def wait(self, seconds: int) -> None:
        self.world.clock += timedelta(seconds=seconds)

    @rule(fault=st.none() | DEATHS, write=st.integers(1, 3))
    def sweep(self, fault: str | None, write: int) -> None:
        self.with_fault(fault, write)
        with contextlib.suppress(Killed):
            self.world.sweep()

    # ---------------------------------------------------------------- what must hold

    def check_invariants(self, settings: Any, output: Any, runtimes: Any = None) -> None:
        """Check the tables after every step."""
        super().check_invariants(settings, output, runtimes)
        if hasattr(self, "world"):
            self.record()

    def record(self) -> None:
        """Record the state of the tables, and check it against the states before."""
        self.history.saw_jobs(self.world.table.jobs.values())
        self.history.saw_chunks(self.world.table.stored)
        assert self.history.violations == []

    def teardown(self) -> None:
        """Bring everything to rest, then check it."""
        if not hasattr(self, "world"):
            return
        self.with_fault(None, 0)
        jobs = self.world.table.jobs
        for _ in range(100):
            self.world.run_out()
            if all(not job.open and job.due is None for job in jobs.values()):
                break
            self.world.clock += timedelta(hours=1)
            self.world.sweep()
        assert self.world.violations(self.accepted, self.deaths) == []


TestRules = Rules.TestCase
TestRules.settings = settings(
    max_examples=300, stateful_step_count=30, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)  # fmt: skip
