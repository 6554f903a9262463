"""When an image is retried, and when it has failed: exponential backoff with equal jitter, and `Retry-After`."""

from dataclasses import dataclass, replace
from typing import NamedTuple

from retail_pulse.domain.failures import MeasuringError
from retail_pulse.domain.outcomes import Failure


@dataclass(frozen=True, slots=True)
class Attempts:
    """The attempts of an image in its run, all failed so far.

    Parameters
    ----------
    count
        How many there were.
    since
        When the first one failed, or was put off because the host rests, in seconds of the epoch; 0 before that.
    not_before
        When the next one may start, in seconds of the epoch; 0 for at once.
    earlier
        How many there were in earlier runs.
    last_error
        Why the last one failed; None in items that were stored before it was kept.
    """

    count: int
    since: float
    not_before: float
    earlier: int = 0
    last_error: Failure | None = None

    @property
    def total(self) -> int:
        """How many attempts there were in all runs."""
        return self.earlier + self.count

    @classmethod
    def after_run(cls, failure: Failure) -> "Attempts":
        """Return the attempts of an image that failed in the run before."""
        return cls(0, 0.0, 0.0, failure.attempts, failure)


class RetryPolicy(NamedTuple):
    """How an image with a transient failure is retried.

    Parameters
    ----------
    max_attempts
        Maximum number of attempts of an image in one run, the first one included; after the last one it has failed.
    give_up_seconds
        Maximum time from the first failure of an image to its last attempt.
    first_wait_seconds
        Upper bound of the first wait; it doubles with each further wait.
    max_wait_seconds
        Upper bound of every wait, including those that a server asks for.
    inline_wait_seconds
        Maximum wait within the invocation; longer ones are spent in the queue, by a delayed pointer.
    max_total_attempts
        Maximum number of attempts of an image in all runs together, if it is not below `max_attempts`. Then its failure
        is final.

    Notes
    -----
    "Equal jitter" of Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015: a wait is drawn from
    the upper half of its bound. With his "full jitter", whose waits may be zero, low draws would spend all attempts
    within a short outage, or reach the longest waits within it.
    """

    max_attempts: int
    give_up_seconds: float
    first_wait_seconds: float = 1.0
    max_wait_seconds: float = 900.0
    inline_wait_seconds: float = 5.0
    max_total_attempts: int = 48

    def max_wait_after(self, attempts: Attempts | None) -> float:
        """Return the upper bound of the wait after one more failed attempt, in seconds."""
        doublings = 0 if attempts is None else attempts.count
        # Beyond 2^30 every bound is the maximum; the shift must not grow with what the table holds.
        return min(self.max_wait_seconds, self.first_wait_seconds * (1 << min(doublings, 30)))

    def waits_inline(self, attempts: Attempts, now: float) -> bool:
        """Return whether the next attempt is near enough to wait for it within the invocation."""
        return attempts.not_before - now <= self.inline_wait_seconds

    def is_exhausted(self, attempts: Attempts) -> bool:
        """Return whether an image has had all of its attempts, in all runs together."""
        return attempts.total >= max(self.max_attempts, self.max_total_attempts)

    def final_failure(self, attempts: Attempts) -> Failure | None:
        """Return the failure of an image that may not be attempted again, in any run; None if it may be."""
        if not self.is_exhausted(attempts) or attempts.last_error is None:
            return None
        return replace(attempts.last_error, is_transient=False, attempts=attempts.total)

    def after_failure(
        self, attempts: Attempts | None, error: MeasuringError, now: float, draw: float
    ) -> Attempts | Failure:
        """Return the attempts so far after one more has failed, or was put off.

        Parameters
        ----------
        attempts
            The failed attempts before; None if this was the first one.
        error
            Why the attempt failed.
        now
            Seconds of the epoch.
        draw
            A random number from 0 to 1. It sets the wait, from half of its bound up to the bound.

        Returns
        -------
        Attempts or Failure
            With the time of the next attempt; a failure when this run makes no further attempt.
        """
        before = Attempts(0, 0.0, 0.0) if attempts is None else attempts
        count = before.count + error.costs_attempt
        since = before.since or now
        failure = Failure.of(error, before.earlier + count)
        wait = (1 + draw) / 2 * self.max_wait_after(attempts)
        if error.retry_after is not None:
            # Longer than the server asks for, so images are not all retried at the same instant; and never at once.
            asked = max(self.first_wait_seconds / 2, error.retry_after)
            wait = min(self.max_wait_seconds, asked + draw * self.first_wait_seconds)
        after = Attempts(count, since, now + wait, before.earlier, failure)
        if error.is_transient and self.is_exhausted(after):
            return replace(failure, is_transient=False)
        if not error.is_transient or count >= self.max_attempts or now + wait > since + self.give_up_seconds:
            return failure
        return after
