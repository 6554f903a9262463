"""The workers of the process function, watched from the outside by /proc: descriptors, memory, time, connections."""

import contextlib
import os
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeAlias

from benchmarks.stack.strangers.hosts import Event
from tests.support.memory import tree

_EVERY_SECONDS = 0.1
# A host that answers after 0.3 s must have its connections found while they live.
_CONNECTIONS_EVERY_SECONDS = 0.05
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")
_FUNCTION = b"AWS_LAMBDA_FUNCTION_NAME="


# A host's address, and the port of the worker's end of a connection to it.
Place: TypeAlias = tuple[str, int]


class Sample(NamedTuple):
    """A worker at a moment."""

    at: float
    worker: int
    descriptors: int
    bytes: int


class Watch:
    """Samples of all workers of a stack, by its process id; see `watching`.

    `owners` has the worker's process id of every connection that a sample found. It stays empty unless `connections`
    is set, because a list of many connections takes long to read.
    """

    def __init__(self, stack: int) -> None:
        self._stack = stack
        self._workers: set[int] = set()
        self.connections = False
        self.samples: list[Sample] = []
        self.owners: dict[Place, int] = {}

    def workers(self) -> list[int]:
        """Return the process ids of the workers that live now."""
        processes = tree(self._stack)
        for process in processes - self._workers:
            # A process that has just been forked still has the variables of the stack, so others are read again.
            with contextlib.suppress(OSError):
                variables = Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
                if any(each.startswith(_FUNCTION) and b"Process" in each for each in variables):
                    self._workers.add(process)
        return sorted(self._workers & processes)

    def cpu_seconds(self) -> float:
        """Return the CPU time of all workers that live now, with the kernel's part."""
        total = 0
        for worker in self.workers():
            fields = Path(f"/proc/{worker}/stat").read_text(encoding="latin-1").rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total / _TICKS

    def run(self, end: threading.Event) -> None:
        """Sample until the event."""
        workers: list[int] = []
        found_at = 0.0
        while not end.wait(_CONNECTIONS_EVERY_SECONDS if self.connections else _EVERY_SECONDS):
            now = time.monotonic()
            if now - found_at > 1:
                workers, found_at = self.workers(), now
            for worker in workers:
                with contextlib.suppress(OSError):
                    self.samples.append(_sample(worker, now))
            if self.connections:
                self.owners |= _owners(workers)

    def peak(self, field: str, since: float = 0.0) -> int:
        """Return the peak of a field of the samples since a time."""
        return max((getattr(sample, field) for sample in self.samples if sample.at >= since), default=0)

    def growth(self, since: float) -> tuple[int, int]:
        """Return by how many bytes the worker that grew most has grown since a time, and what it had before."""
        before = {sample.worker: sample.bytes for sample in self.samples if sample.at < since}
        grown = [
            (sample.bytes - before[sample.worker], before[sample.worker])
            for sample in self.samples
            if sample.at >= since and sample.worker in before
        ]
        return max(grown, default=(0, 0))


@contextmanager
def watching(stack: int) -> Iterator[Watch]:
    """Watch the workers of a stack in a thread until the block ends."""
    watch, end = Watch(stack), threading.Event()
    thread = threading.Thread(target=watch.run, args=(end,), daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        end.set()
        thread.join()


def most_in_flight(events: Iterable[Event], owners: Mapping[Place, int], since: float = 0.0) -> int:
    """Return the maximum number of requests that one worker had in flight at once since a time.

    A connection that no sample found was too short for that, and counts for every worker.
    """
    in_flight: Counter[int | None] = Counter()
    peak = 0

    def most() -> int:
        return in_flight[None] + max((count for worker, count in in_flight.items() if worker is not None), default=0)

    for event in events:
        if event.at >= since:
            peak = max(peak, most())
        in_flight[owners.get((event.address, event.port))] += 1 if event.begins else -1
    return max(peak, most())


def seconds_until_in_flight(events: Sequence[Event], owners: Mapping[Place, int], count: int) -> float | None:
    """Return the seconds from the first request until one worker has so many in flight; None if it never has."""
    in_flight: Counter[int | None] = Counter()
    for event in events:
        worker = owners.get((event.address, event.port))
        in_flight[worker] += 1 if event.begins else -1
        if worker is not None and in_flight[worker] >= count:
            return event.at - events[0].at
    return None


def _sample(worker: int, now: float) -> Sample:
    pages = int(Path(f"/proc/{worker}/statm").read_text(encoding="ascii").split()[1])
    return Sample(now, worker, len(list(Path(f"/proc/{worker}/fd").iterdir())), pages * _PAGE_BYTES)


def _owners(workers: Iterable[int]) -> dict[Place, int]:
    """Return the worker of each connection."""
    inodes = {}
    for worker in workers:
        with contextlib.suppress(OSError):
            for descriptor in Path(f"/proc/{worker}/fd").iterdir():
                with contextlib.suppress(OSError):
                    inodes[str(descriptor.readlink())] = worker
    owners = {}
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        _, local, remote, *others = line.split()
        inode = f"socket:[{others[6]}]"
        if inode in inodes:
            # The kernel writes an address as a number in the machine's own order of bytes.
            address = socket.inet_ntoa(int(remote[:8], 16).to_bytes(4, sys.byteorder))
            owners[address, int(local[9:], 16)] = inodes[inode]
    return owners
