"""``make faults RUNS=50 SEED=1``: run jobs with injected faults, and print tables of the faults and the violations.

Exits with 1 if an invariant is violated, and names the seeds.
"""

import argparse
import multiprocessing
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

from tests.faults.campaign import Place, Result, runs
from tests.faults.injection import POISON_IMAGE, RATES
from tests.faults.plan import BAD
from tests.faults.steps import MOMENTS, STEPS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="number of seeds (default: 5)")
    parser.add_argument("--seed", type=int, default=1, help="the first seed (default: 1)")
    parser.add_argument("--jobs", type=int, default=40, help="jobs per run (default: 40)")
    parser.add_argument("--at-once", type=int, default=1, help="runs at once, each on its own stack (default: 1)")
    options = parser.parse_args(arguments)
    share = -(-options.runs // options.at_once)
    seeds = range(options.seed, options.seed + options.runs)
    # A run spends most of its time waiting: for stalls of the server and delays of the queue.
    with ProcessPoolExecutor(options.at_once, multiprocessing.get_context("spawn")) as processes:
        parts = [
            processes.submit(runs, seeds[first : first + share], options.jobs)
            for first in range(0, options.runs, share)
        ]
        results = [result for part in parts for result in part.result()]
    print()
    print(table(results))
    bad = [result.seed for result in results if result.violations]
    if bad:
        print(f"\nInvariants violated with seeds {bad}; repeat one: make faults RUNS=1 SEED={bad[0]}", file=sys.stderr)
    return 1 if bad else 0


def table(results: Sequence[Result]) -> str:
    """Return the counts of some runs as Markdown tables."""
    faults = sum((result.faults for result in results), Counter[str]())
    deaths = sum((result.deaths for result in results), Counter[Place]())
    runs = sum((result.runs for result in results), Counter[int]())
    lines = [
        "| runs | jobs | images | faults | deaths | orphaned chunks | jobs reopened | violations |",
        "|---|---|---|---|---|---|---|---|",
        f"| {len(results)} | {sum(result.jobs for result in results):,} | {sum(result.images for result in results):,} "
        f"| {faults.total():,} | {deaths.total():,} | {sum(result.orphans for result in results):,} "
        f"| {sum(count for run, count in runs.items() if run > 1):,} "
        f"| {sum(len(result.violations) for result in results)} |",
        "",
        "| fault | times |",
        "|---|---|",
        *(f"| {kind} | {faults[kind]:,} |" for kind in [*RATES, *BAD]),
        "",
        "| function | dies at the step | before | after |",
        "|---|---|---|---|",
    ]
    for role, steps in STEPS.items():
        for step in steps:
            counts = " | ".join(str(deaths[role, step, moment]) for moment in MOMENTS)
            lines.append(f"| {role} | {step} | {counts} |")
    lines.append(f"| process | {POISON_IMAGE} | {deaths['process', POISON_IMAGE, 'before']} | |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
