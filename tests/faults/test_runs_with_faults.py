"""The short part of `make faults`: a run with every fault, in which a worker dies at each of its steps in turn."""

from pathlib import Path

from local.stack.process import StackProcess
from tests.faults.campaign import STACK_PARAMETERS, Campaign
from tests.faults.steps import MOMENTS, STEPS


def test_a_worker_killed_at_each_of_its_steps_loses_nothing_and_counts_nothing_twice(tmp_path: Path) -> None:
    with StackProcess(parameters=STACK_PARAMETERS) as stack:
        result = Campaign(stack, tmp_path).run(seed=1, jobs=20, every_death=True)
    assert result.violations == []
    assert result.jobs >= 20
    assert result.faults.total() > 100
    deaths = {(step, moment) for role, step, moment in result.deaths if role == "process"}
    assert deaths >= {(step, moment) for step in STEPS["process"] for moment in MOMENTS}
