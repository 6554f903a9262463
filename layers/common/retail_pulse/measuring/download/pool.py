"""Connections that are kept for further requests: few, for a short time, and never shared by clients.

A server may send an answer that was not asked for. On a kept connection it would be taken for the answer to the next
request, so another image would be measured in its place.
"""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar

# Lambda allows 1,024 file descriptors. Besides these, each thread may hold a connection and a temporary file.
MAX_IDLE = 256
# Servers close idle connections after 5 to 75 s.
_IDLE_SECONDS = 60.0
# Unasked answers were seen 0.15 to 0.3 s after the one before. Within this time they show themselves.
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
        How many are kept, of all keys together; at least 1. The one that was used least recently is closed first.
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
        """Remove and return a connection that has rested; None when none of this key has."""
        while True:
            with self._lock:
                self._close_unused()
                connection = self._remove_rested(key)
            if connection is None or connection.is_quiet:
                return connection
            connection.close()

    def give_back(self, key: _Key, connection: _Connection) -> None:
        """Keep a connection for later; close it, or another one, if that is one too many."""
        if not connection.is_quiet:
            connection.close()
            return
        with self._lock:
            self._close_unused()
            self._add(key, connection)

    def sweep(self) -> None:
        """Close the connections that have not been used for too long."""
        with self._lock:
            self._close_unused()

    def close_all(self) -> None:
        """Close all idle connections."""
        with self._lock:
            while self._idle:
                self._remove_first().close()

    def _close_unused(self) -> None:
        oldest = self._now() - self._idle_seconds
        while self._idle and self._first_use() <= oldest:
            self._remove_first().close()

    def _remove_rested(self, key: _Key) -> _Connection | None:
        connections = self._by_key.get(key)
        # If the one that has rested for the longest time has not rested enough, none has.
        if not connections or not self._has_rested(self._idle[connections[0]][1]):
            return None
        return self._remove(connections[0])

    def _add(self, key: _Key, connection: _Connection) -> None:
        if len(self._idle) >= self._max_idle:
            if key in self._by_key and not self._has_rested(self._first_use()):
                # So many requests that all connections would be closed before they have rested. The others of this
                # key have rested for longer.
                connection.close()
                return
            self._remove_first().close()
        self._idle[connection] = key, self._now()
        self._by_key.setdefault(key, deque()).append(connection)
        self._start_sweeper()

    def _has_rested(self, last_use: float) -> bool:
        return last_use <= self._now() - self._rest_seconds

    def _first_use(self) -> float:
        """Return the last use of the connection that has not been used for the longest time."""
        return next(iter(self._idle.values()))[1]

    def _remove_first(self) -> _Connection:
        return self._remove(next(iter(self._idle)))

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
                seconds = self._first_use() + self._idle_seconds - self._now()
            time.sleep(max(0.001, seconds))
            self.sweep()
