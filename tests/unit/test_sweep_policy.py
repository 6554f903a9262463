"""When a job is swept, and what it needs from a sweep."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from retail_pulse.domain.chunks import Scope
from retail_pulse.domain.jobs import Job, JobStatus, Need, SweepPolicy

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DUE = int(NOW.timestamp())
POLICY = SweepPolicy(stall_seconds=900, automatic_runs=2)
ALL = frozenset({0, 1})
OPEN = Job(
    client="me", job_id=1, nonce="n", status=JobStatus.ONGOING, open=True, run=1, scope=Scope.ALL, created_at=NOW,
    ended_at=None, visits=2, images=9, chunks=2, due=DUE, wait=900, expires_at=DUE + 86_400,
)  # fmt: skip
ENDED = replace(OPEN, status=JobStatus.FAILED, open=False, ended_at=NOW, done=ALL, failed=ALL, transient=frozenset({1}))


@pytest.mark.parametrize(
    ("job", "need"),
    [
        (OPEN, Need.MESSAGES),
        (replace(OPEN, done=frozenset({1})), Need.MESSAGES),
        (replace(OPEN, done=ALL), Need.CLOSING),
        (ENDED, Need.REOPENING),
        (replace(ENDED, automatic=1), Need.REOPENING),
        (replace(ENDED, automatic=2), Need.NOTHING),
        (replace(ENDED, transient=frozenset()), Need.NOTHING),
        (replace(OPEN, expires_at=DUE), Need.NOTHING),
        (replace(OPEN, done=ALL, expires_at=DUE), Need.NOTHING),
        (replace(ENDED, expires_at=DUE), Need.NOTHING),
    ],
)
def test_a_job_needs_messages_closing_reopening_or_nothing(job: Job, need: Need) -> None:
    assert POLICY.needs(job, NOW) is need


def test_a_job_is_due_from_its_time_on() -> None:
    assert OPEN.is_due(NOW)
    assert OPEN.is_due(NOW + timedelta(days=1))
    assert not OPEN.is_due(NOW - timedelta(seconds=1))
    assert not replace(OPEN, due=None).is_due(NOW)


def test_the_wait_doubles_while_no_chunk_ends_and_is_the_shortest_again_after_one() -> None:
    assert POLICY.next_wait(replace(OPEN, wait=0)) == 900
    assert POLICY.next_wait(OPEN) == 1800
    assert POLICY.next_wait(replace(OPEN, wait=1800)) == POLICY.next_wait(replace(OPEN, wait=3600)) == 3600
    assert POLICY.next_wait(replace(OPEN, wait=3600, done=frozenset({0}), done_at_sweep=0)) == 900
    assert POLICY.next_wait(replace(OPEN, wait=3600, done=frozenset({0}), done_at_sweep=1)) == 3600


def test_an_ended_job_is_due_later_each_time_and_in_the_end_never() -> None:
    policy = SweepPolicy(stall_seconds=900, automatic_runs=4)
    dues = [policy.due_after_end(replace(ENDED, automatic=runs), NOW) for runs in range(5)]
    assert dues == [DUE + 900, DUE + 1800, DUE + 3600, DUE + 3600, None]
    assert policy.due_after_end(replace(ENDED, transient=frozenset()), NOW) is None


def test_the_schedule_retries_transient_failures_and_a_client_all_of_them() -> None:
    automatic, of_client = POLICY.automatic_run(ENDED, NOW), POLICY.client_run(ENDED, NOW)
    assert (automatic.chunks, automatic.scope, automatic.status) == (frozenset({1}), Scope.TRANSIENT, JobStatus.FAILED)
    assert (of_client.chunks, of_client.scope, of_client.status) == (ALL, Scope.ALL, JobStatus.ONGOING)
    assert (automatic.automatic, of_client.automatic) == (1, 0)
    assert (automatic.due, of_client.due) == (DUE + 900, DUE + 900)
