"""Functions with one processor at most stay on one core."""

import os

import pytest

from retail_pulse.runtime.one_core import stay_on_one_core


@pytest.fixture
def bound(monkeypatch: pytest.MonkeyPatch) -> list[set[int]]:
    """The cores that the process was bound to, of eight."""
    calls: list[set[int]] = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(os, "sched_setaffinity", lambda _, cores: calls.append(set(cores)), raising=False)
    return calls


@pytest.mark.parametrize("megabytes", [128, 384, 1_024, 1_769])
def test_up_to_one_processor_is_bound_to_one_core(bound: list[set[int]], megabytes: int) -> None:
    stay_on_one_core({"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(megabytes)})
    assert [len(cores) for cores in bound] == [1]
    assert bound[0] <= set(range(8))


@pytest.mark.parametrize("environment", [{}, {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1770"}])
def test_others_keep_all_cores(bound: list[set[int]], environment: dict[str, str]) -> None:
    stay_on_one_core(environment)
    assert bound == []


def test_workers_that_start_together_take_different_cores(
    bound: list[set[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for pid in (100, 101, 102):
        monkeypatch.setattr(os, "getpid", lambda pid=pid: pid)
        stay_on_one_core({"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "384"})
    assert len(set(map(frozenset, bound))) == 3


def test_a_refusal_and_a_system_without_the_call_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setaffinity", refuse, raising=False)
    stay_on_one_core({"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "384"})
    monkeypatch.delattr(os, "sched_setaffinity")
    stay_on_one_core({"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "384"})
