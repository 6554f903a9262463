"""Watches the memory of a tree of processes."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_EVERY_SECONDS = 0.2


def tree(root: int) -> set[int]:
    """Return the ids of a process and all its descendants. Linux only."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name is in parentheses and may contain anything.
            fields = stat.read_text(encoding="latin-1").rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(stat.parent.name)] = int(fields[1])
    found = {root} & parents.keys()
    while more := {process for process, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def resident_bytes(processes: set[int]) -> int:
    """Return the memory of processes. Shared memory counts once, as the sum of their proportional set sizes."""
    total = 0
    for process in processes:
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total


@dataclass(slots=True)
class Peak:
    """The peak of memory in bytes, and the peak number of processes."""

    memory: int = 0
    processes: int = 0


@contextmanager
def peak_of(root: int) -> Iterator[Peak]:
    """Watch a process and its descendants until the block ends; yield their peak, which grows meanwhile."""
    peak, end = Peak(), threading.Event()

    def watch() -> None:
        while True:
            processes = tree(root)
            peak.processes = max(peak.processes, len(processes))
            peak.memory = max(peak.memory, resident_bytes(processes))
            if end.wait(_EVERY_SECONDS):
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        end.set()
        thread.join()
