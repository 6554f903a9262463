"""Connections that are kept for further requests: few, for a short time, and never shared by clients.

A server may send an answer that was not asked for. On a kept connection it would be taken for the answer to the next
request, so another image would be measured in its place.
"""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable
from typing import Generic, Protocol, TypeVar

# Lambda allows 1,024 file descriptors. Besides these, each thread may hold a connection and a temporary file.
MAX_IDLE = 256
# Servers close idle connections after 5 to 75 s.
_IDLE_SECONDS = 60.0
# Answers that nobody asked for were seen 0.15 to 0.3 s after the one before. Within this time they show themselves.
_REST_SECONDS = 0.5


class Connection(Protocol):
    """A connection that can be kept."""

    @property
    def is_quiet(self) -> bool:
        """Whether nothing has arrived that was not read; the end of the connection counts too."""

    def close(self) -> None:
        """Close the connection."""


_Key = TypeVar("_Key", bound=Hashable)
_Connection = TypeVar("_Connection", bound=Connection)


class IdleConnections(Generic[_Key, _Connection]):
    """The idle connections of a worker.

    Parameters
    ----------
    max_idle
        How many are kept, of all keys together.
    rest_seconds
        How long a connection rests after an answer, before it is used for the next request.
    idle_seconds
        How long a connection is kept after its last use.
    now
        The time in seconds, from any start.
    """

    def __init__(
        self,
        max_idle: int = MAX_IDLE,
        rest_seconds: float = _REST_SECONDS,
        idle_seconds: float = _IDLE_SECONDS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_idle = max_idle
        self._rest_seconds = rest_seconds
        self._idle_seconds = idle_seconds
        self._now = now
        self._lock = threading.Lock()
        # Both in the order of last use. The first has each connection's key and the time of its last use.
        self._idle: OrderedDict[_Connection, tuple[_Key, float]] = OrderedDict()
        self._by_key: dict[_Key, deque[_Connection]] = {}
        self._sweeper: threading.Thread | None = None

    def take(self, key: _Key) -> _Connection | None:
        """Remove and return a connection that has rested; None if there is none."""
        while True:
            with self._lock:
                dropped = self._remove_unused()
                connection = self._remove_rested(key)
            _close(dropped)
            if connection is None or connection.is_quiet:
                return connection
            connection.close()

    def give_back(self, key: _Key, connection: _Connection) -> None:
        """Keep a connection for later; close it, or another one, if that is one too many."""
        if not connection.is_quiet:
            connection.close()
            return
        with self._lock:
            dropped = self._remove_unused()
            dropped += self._add(key, connection)
        _close(dropped)

    def sweep(self) -> None:
        """Close the connections that have not been used for too long."""
        with self._lock:
            dropped = self._remove_unused()
        _close(dropped)

    def close_all(self) -> None:
        """Close all idle connections."""
        with self._lock:
            dropped = list(self._idle)
            self._idle.clear()
            self._by_key.clear()
        _close(dropped)

    def _remove_unused(self) -> list[_Connection]:
        """Remove and return the connections that have not been used for too long."""
        unused = []
        oldest = self._now() - self._idle_seconds
        while self._idle and self._last_use(first := next(iter(self._idle))) <= oldest:
            unused.append(self._remove(first))
        return unused

    def _remove_rested(self, key: _Key) -> _Connection | None:
        connections = self._by_key.get(key)
        # If the one that has rested for the longest time has not rested enough, none has.
        if not connections or self._last_use(connections[0]) > self._now() - self._rest_seconds:
            return None
        return self._remove(connections[0])

    def _add(self, key: _Key, connection: _Connection) -> list[_Connection]:
        """Add a connection; return those to be closed."""
        dropped = []
        if len(self._idle) >= self._max_idle:
            first = next(iter(self._idle))
            if key in self._by_key and self._last_use(first) > self._now() - self._rest_seconds:
                # So many requests that all would be closed before they have rested: let those that rest do so.
                return [connection]
            dropped.append(self._remove(first))
        self._idle[connection] = key, self._now()
        self._by_key.setdefault(key, deque()).append(connection)
        self._start_sweeper()
        return dropped

    def _last_use(self, connection: _Connection) -> float:
        return self._idle[connection][1]

    def _remove(self, connection: _Connection) -> _Connection:
        """Remove a connection, the first of its key."""
        key, _ = self._idle.pop(connection)
        connections = self._by_key[key]
        connections.popleft()
        if not connections:
            del self._by_key[key]
        return connection

    def _start_sweeper(self) -> None:
        if self._sweeper is None:
            self._sweeper = threading.Thread(target=self._sweep_until_empty, name="idle-connections", daemon=True)
            try:
                self._sweeper.start()
            except RuntimeError:
                # There are too many threads. Until there is one, each use of the pool sweeps.
                self._sweeper = None

    def _sweep_until_empty(self) -> None:
        while True:
            with self._lock:
                if not self._idle:
                    self._sweeper = None
                    return
                next_seconds = self._last_use(next(iter(self._idle))) + self._idle_seconds - self._now()
            time.sleep(max(0.001, next_seconds))
            self.sweep()


def _close(connections: Iterable[Connection]) -> None:
    for connection in connections:
        connection.close()
