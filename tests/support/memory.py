"""Watches the memory of a tree of processes."""

import threading
from pathlib import Path
from types import TracebackType
from typing import Self

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


class PeakMemory:
    """Watch a process and its descendants within a ``with`` block.

    Attributes
    ----------
    peak_bytes
        The peak of memory.
    peak_processes
        The peak number of processes.
    """

    def __init__(self, root: int) -> None:
        self._root = root
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.peak_bytes = 0
        self.peak_processes = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            processes = tree(self._root)
            self.peak_processes = max(self.peak_processes, len(processes))
            self.peak_bytes = max(self.peak_bytes, resident_bytes(processes))
            if self._end.wait(_EVERY_SECONDS):
                return
