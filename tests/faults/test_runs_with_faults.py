"""A short `make faults`: one run with every fault, in which a worker dies before and after each of its steps."""

import re
from pathlib import Path

from local.stack.process import StackProcess
from tests.faults.__main__ import table
from tests.faults.campaign import STACK_PARAMETERS, Campaign
from tests.faults.steps import MOMENTS, STEPS

DOCS = Path(__file__).parents[2] / "docs"


def rows(text: str) -> list[str]:
    """Return the rows of Markdown tables, with 0 in place of every number."""
    return [re.sub(r"\d[\d,]*", "0", line) for line in text.splitlines() if line.startswith("|")]


def test_the_pages_have_the_tables_that_the_command_prints() -> None:
    head, line, summary, *counts = rows(table([]))
    assert rows((DOCS / "fault-runs.md").read_text(encoding="utf-8")) == counts
    assert {head, line, summary} <= set(rows((DOCS / "reliability.md").read_text(encoding="utf-8")))


def test_a_worker_killed_at_each_of_its_steps_loses_nothing_and_counts_nothing_twice(tmp_path: Path) -> None:
    with StackProcess(parameters=STACK_PARAMETERS) as stack:
        result = Campaign(stack, tmp_path).run(seed=1, jobs=20, every_death=True)
    assert result.violations == []
    assert result.jobs >= 20
    assert result.faults.total() > 100
    deaths = {(step, moment) for role, step, moment in result.deaths if role == "process"}
    assert deaths >= {(step, moment) for step in STEPS["process"] for moment in MOMENTS}
