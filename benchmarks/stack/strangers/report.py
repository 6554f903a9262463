"""What the scenarios find, its record as JSON, and the page that is written from it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.harness.page import number, table, update
from benchmarks.harness.record import Run
from benchmarks.harness.report import Table
from local.checkout import ROOT

RECORD = Path(__file__).with_name("now.json")
# What the same scenarios found on the code before the limits that they show.
BEFORE = Path(__file__).with_name("before.json")
PAGE = ROOT / "docs" / "strangers.md"
BEGIN = "<!-- measured: written by `make strangers WRITE=1`; do not edit -->"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a scenario measured, next to its target.

    Parameters
    ----------
    what
        One line that says what was measured; the same in every run.
    value
        In ``unit``.
    target
        None if the value is only shown.
    at_least
        Whether the target is a minimum.
    is_cut
        Whether the scenario ended first, so that the real value is larger.
    """

    what: str
    value: float
    unit: str = ""
    target: float | None = None
    at_least: bool = False
    is_cut: bool = False

    @property
    def is_met(self) -> bool:
        """Whether the value is within the target, if any."""
        if self.target is None:
            return True
        return self.value >= self.target if self.at_least else self.value <= self.target and not self.is_cut

    @property
    def measured(self) -> str:
        """The value as text."""
        return f"{'over ' if self.is_cut else ''}{number(self.value)} {self.unit}".rstrip()

    @property
    def wanted(self) -> str:
        """The target as text."""
        if self.target is None:
            return ""
        return f"at {'least' if self.at_least else 'most'} {number(self.target)} {self.unit}".rstrip()


@dataclass(frozen=True, slots=True)
class Result:
    """The findings of a scenario, and the run that measured them."""

    findings: Sequence[Finding]
    run: Run


def load(path: Path) -> dict[str, Result]:
    """Read the results by the names of the scenarios; none if the file does not exist yet."""
    if not path.exists():
        return {}
    kept = json.loads(path.read_text(encoding="utf-8"))
    return {
        name: Result([Finding(**each) for each in body["findings"]], Run(**body["run"])) for name, body in kept.items()
    }


def save(results: Mapping[str, Result], path: Path) -> None:
    """Write results."""
    bodies = {name: asdict(result) for name, result in sorted(results.items())}
    path.write_text(json.dumps(bodies, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def write_page(order: Mapping[str, str]) -> None:
    """Write the measured part of the page; `order` has the texts of the scenarios by their names."""
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(update(text, list(parts(order, load(BEFORE), load(RECORD))), BEGIN), encoding="utf-8")


def parts(order: Mapping[str, str], before: Mapping[str, Result], now: Mapping[str, Result]) -> Iterator[str]:
    """Yield the paragraphs of the measured part of the page: per scenario its text, its table and its runs."""
    for name, text in order.items():
        old, new = before.get(name), now.get(name)
        if old is None and new is None:
            continue
        yield f"## {name}"
        yield text
        olds, news = ({each.what: each for each in result.findings} if result else {} for result in (old, new))
        rows = [_row(olds.get(what), news.get(what)) for what in [*olds, *(what for what in news if what not in olds)]]
        yield table(Table("", ("what", "before", "target", "now", ""), rows))
        runs = [f"{when}: {_run(result.run)}" for when, result in (("before", old), ("now", new)) if result]
        yield f"<sub>`make strangers ONLY={name}` · {' · '.join(runs)}</sub>"


def _row(old: Finding | None, new: Finding | None) -> tuple[str, str, str, str, str]:
    shown = new or old
    assert shown is not None
    verdict = "" if new is None or new.target is None else "met" if new.is_met else "not met"
    return shown.what, old.measured if old else "", shown.wanted, new.measured if new else "", verdict


def _run(run: Run) -> str:
    return f"code of {run.commit_date}, {run.machine}, {run.python}, load {run.load:.1f}, pace {number(run.pace)}"
