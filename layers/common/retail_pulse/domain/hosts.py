"""How many requests a host may have in flight, and when it rests: adapted to how it answers.

Additive increase, multiplicative decrease, as in TCP's congestion control (RFC 5681, section 3.1): each good answer
adds one request if more are wanted, so a healthy host has all threads after a few round trips. Each bad answer halves
the requests.

The number of requests is one for all clients, since it protects the host. Rests are per client: on a host that several
clients use, a page of one of them must not stop the others by its errors or its `Retry-After`.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from retail_pulse.domain.failures import MeasuringError
from retail_pulse.domain.host_tallies import HostTallies

# What a host gets before it has answered, and so what a host that never answers gets.
_FIRST_LIMIT = 4
# Bad answers in a row after which a client's requests to the host rest.
_FAILURES_BEFORE_REST = 4
# The first rest; each further one without a good answer in between is twice as long.
_FIRST_REST_SECONDS = 1.0
_MAX_REST_SECONDS = 60.0
# A server may ask for more than an SQS message can be delayed; beyond this, it is asked again.
_MAX_RETRY_AFTER_SECONDS = 900.0
# Hosts, and pairs of client and host, that a worker remembers. Those that were used last stay.
_REMEMBERED = 2_000


@dataclass(slots=True)
class _Host:
    """A host; it is short of slots when the last request that wanted one got none, or took the last one."""

    limit: float
    in_flight: int = 0
    is_short: bool = False


@dataclass(slots=True)
class _Rest:
    """Bad answers of a host in a row to one client, and until when its requests rest."""

    error: MeasuringError
    failures: int = 0
    rests: int = 0
    until: float = 0.0


class Slot:
    """Permission for one request to a host; it must be ended exactly once."""

    def __init__(self, hosts: "Hosts", client: str, host: str, began: float) -> None:
        self.host = host
        self._hosts = hosts
        self._client = client
        self._began = began

    def end(self, error: MeasuringError | None = None) -> None:
        """End the request, with the error that it led to, if any."""
        self._hosts.tallies.add(self.host, self._hosts.now() - self._began, None if error is None else error.code)
        self._hosts.end(self._client, self.host, error)

    def cancel(self) -> None:
        """Give the slot back without a request."""
        self._hosts.cancel(self.host)


class Hosts:
    """The hosts that a worker calls; one for the life of a worker, used by all of its threads.

    Parameters
    ----------
    max_in_flight
        Maximum number of requests in flight per host.
    now
        The time in seconds, from any start.

    Attributes
    ----------
    tallies
        What the requests led to, by host.
    """

    def __init__(self, max_in_flight: int, now: Callable[[], float] = time.monotonic) -> None:
        self.tallies = HostTallies()
        self.now = now
        self._max = max_in_flight
        self._lock = Lock()
        self._hosts: OrderedDict[str, _Host] = OrderedDict()
        self._rests: OrderedDict[tuple[str, str], _Rest] = OrderedDict()

    def begin(self, client: str, host: str) -> Slot | None:
        """Return a slot for a request; None when the host has as many in flight as it may have."""
        with self._lock:
            state = self._state(host)
            if state.in_flight >= int(state.limit):
                state.is_short = True
                return None
            state.in_flight += 1
            state.is_short = state.in_flight >= int(state.limit)
            return Slot(self, client, host, self.now())

    def room(self, host: str) -> int:
        """Return how many more requests the host may have in flight."""
        with self._lock:
            state = self._hosts.get(host)
            return self._first_limit if state is None else max(0, int(state.limit) - state.in_flight)

    def rest(self, client: str, host: str) -> MeasuringError | None:
        """Return why a client's requests to a host rest, with the seconds that are left; None if they do not."""
        with self._lock:
            rest = self._rests.get((client, host))
            seconds = 0.0 if rest is None else rest.until - self.now()
        if rest is None or seconds <= 0:
            return None
        error = rest.error
        return MeasuringError(error.code, error.message, passing=True, retry_after=seconds, costs_attempt=False)

    def end(self, client: str, host: str, error: MeasuringError | None) -> None:
        """End a request; see `Slot.end`."""
        with self._lock:
            state = self._state(host)
            state.in_flight -= 1
            if error is None or not error.is_transient:
                if state.is_short:
                    state.limit = min(self._max, state.limit + 1)
                self._rests.pop((client, host), None)
            elif error.costs_attempt:
                state.limit = max(1.0, state.limit / 2)
                self._rest(client, host, error)

    def cancel(self, host: str) -> None:
        """Give a slot back without a request."""
        with self._lock:
            self._state(host).in_flight -= 1

    @property
    def _first_limit(self) -> int:
        return min(self._max, _FIRST_LIMIT)

    def _state(self, host: str) -> _Host:
        state = self._hosts.setdefault(host, _Host(self._first_limit))
        self._hosts.move_to_end(host)
        if len(self._hosts) > _REMEMBERED:
            oldest = next((name for name, other in self._hosts.items() if not other.in_flight), host)
            if oldest != host:
                del self._hosts[oldest]
        return state

    def _rest(self, client: str, host: str, error: MeasuringError) -> None:
        rest = self._rests.setdefault((client, host), _Rest(error))
        self._rests.move_to_end((client, host))
        if len(self._rests) > _REMEMBERED:
            self._rests.popitem(last=False)
        now = self.now()
        rest.error = error
        rest.failures += 1
        # Also when the server asks for less: `Retry-After: 0` does not say that it can bear more.
        if rest.failures >= _FAILURES_BEFORE_REST and rest.until <= now:
            rest.until = now + min(_MAX_REST_SECONDS, _FIRST_REST_SECONDS * 2**rest.rests)
            rest.rests = min(rest.rests + 1, 10)
        if error.retry_after is not None:
            rest.until = max(rest.until, now + min(_MAX_RETRY_AFTER_SECONDS, error.retry_after))
