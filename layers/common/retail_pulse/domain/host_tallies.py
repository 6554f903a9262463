"""What the requests to each image host led to, for the log line of a batch."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from retail_pulse.domain.failures import FailureCode


@dataclass(slots=True)
class _Tally:
    requests: int = 0
    seconds: float = 0.0
    failures: Counter[FailureCode] = field(default_factory=Counter)


class HostTallies:
    """Counts requests by host, from all threads of a worker."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._tallies: defaultdict[str, _Tally] = defaultdict(_Tally)

    def add(self, host: str, seconds: float, code: FailureCode | None) -> None:
        """Count a request, and why it failed, if it did."""
        with self._lock:
            tally = self._tallies[host]
            tally.requests += 1
            tally.seconds += seconds
            if code is not None:
                tally.failures[code] += 1

    def take(self, limit: int) -> list[Mapping[str, Any]]:
        """Return the hosts with the most failures, then those that took the most time, and start again from zero.

        Only names of hosts are returned, never a URL. ``codes`` is a text, so that a query can group by it.
        """
        with self._lock:
            tallies, self._tallies = self._tallies, defaultdict(_Tally)
        # An invalid URL has no host.
        tallies.pop("", None)
        worst = sorted(tallies.items(), key=lambda each: (-each[1].failures.total(), -each[1].seconds, each[0]))
        return [
            {
                "host": host,
                "requests": tally.requests,
                "seconds": round(tally.seconds, 2),
                "failed": tally.failures.total(),
                "codes": " ".join(sorted(tally.failures)),
            }
            for host, tally in worst[:limit]
        ]
