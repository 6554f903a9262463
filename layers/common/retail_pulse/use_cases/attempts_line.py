"""The order in which images are attempted: fair between clients, and no host gets more than it bears."""

import heapq
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from retail_pulse.domain.failures import MeasuringError
from retail_pulse.domain.hosts import Hosts, Slot
from retail_pulse.domain.image_requests import ImageRequest

_Tag = TypeVar("_Tag")


@dataclass(frozen=True, slots=True)
class PooledImage(Generic[_Tag]):
    """An image to be measured: a tag of the caller's, the request, and how many seconds from now it may start."""

    tag: _Tag
    request: ImageRequest
    wait: float = 0.0


@dataclass(slots=True, eq=False)
class Attempt(Generic[_Tag]):
    """One download for all images that ask for the same; ``asked`` are the requests that it answers."""

    request: ImageRequest
    images: list[PooledImage[_Tag]]
    asked: list[ImageRequest] = field(default_factory=list)


_Queued = tuple[int, Attempt[_Tag]]


class AttemptsLine(Generic[_Tag]):
    """Attempts that are due, until a thread takes them.

    The client with the fewest attempts in flight is next, and among those the one that waited longest. A client's own
    attempts keep their order, except that those at a busy host are parked until it has a free slot.
    """

    def __init__(self, hosts: Hosts, host_of: Callable[[str], str]) -> None:
        self._hosts = hosts
        self._host_of = host_of
        self._order = itertools.count()
        # A heap per client; a client without a due attempt is left out.
        self._due: dict[str, list[_Queued[_Tag]]] = {}
        self._parked: defaultdict[tuple[str, str], list[_Queued[_Tag]]] = defaultdict(list)
        self._in_flight: Counter[str] = Counter()

    def __bool__(self) -> bool:
        return bool(self._due or self._parked)

    def add(self, attempt: Attempt[_Tag]) -> None:
        """Add an attempt that is due."""
        self._push((next(self._order), attempt))

    def take(self) -> tuple[Attempt[_Tag], Slot | MeasuringError] | None:
        """Remove and return the next attempt, with a slot of its host; None when none can start now.

        While the client's requests to the host rest, the reason takes the place of the slot.
        """
        while self._due:
            client = min(self._due, key=self._in_flight.__getitem__)
            heap = self._due.pop(client)
            queued = heapq.heappop(heap)
            if heap:
                self._due[client] = heap  # behind clients that have as many in flight
            host = self._host_of(queued[1].request.url)
            rest = self._hosts.rest(client, host)
            if rest is not None:
                return queued[1], rest
            slot = self._hosts.begin(client, host)
            if slot is not None:
                self._in_flight[client] += 1
                return queued[1], slot
            heapq.heappush(self._parked[client, host], queued)
        return None

    def ended(self, client: str) -> None:
        """Note that an attempt of a client has ended."""
        self._in_flight[client] -= 1
        self.unpark()

    def unpark(self) -> None:
        """Make attempts due again whose host has free slots, or rests."""
        for (client, host), heap in list(self._parked.items()):
            room = len(heap) if self._hosts.rest(client, host) else self._hosts.room(host)
            for _ in range(min(room, len(heap))):
                self._push(heapq.heappop(heap))
            if not heap:
                del self._parked[client, host]

    def drain(self) -> Iterator[Attempt[_Tag]]:
        """Remove and yield all attempts."""
        heaps = [*self._due.values(), *self._parked.values()]
        self._due.clear()
        self._parked.clear()
        for heap in heaps:
            for _, attempt in heap:
                yield attempt

    def _push(self, queued: _Queued[_Tag]) -> None:
        heapq.heappush(self._due.setdefault(queued[1].request.client, []), queued)
