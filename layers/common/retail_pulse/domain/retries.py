"""When an image is retried, and when it has failed: exponential backoff with equal jitter, and `Retry-After`."""

from dataclasses import dataclass

from retail_pulse.domain.failures import MeasuringError


@dataclass(frozen=True, slots=True)
class Attempts:
    """The attempts of an image in its run, all failed so far.

    Parameters
    ----------
    count
        How many there were.
    since
        When the first one failed, in seconds of the epoch.
    not_before
        When the next one may start, in seconds of the epoch.
    """

    count: int
    since: float
    not_before: float


@dataclass(frozen=True, slots=True)
class RetryPolicy:
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

    def max_wait_after(self, attempts: Attempts | None) -> float:
        """Return the upper bound of the wait after one more failed attempt, in seconds."""
        doublings = 0 if attempts is None else attempts.count
        # Beyond 2^30 every bound is the maximum; the shift must not grow with what the table holds.
        return min(self.max_wait_seconds, self.first_wait_seconds * (1 << min(doublings, 30)))

    def waits_inline(self, attempts: Attempts, now: float) -> bool:
        """Return whether the next attempt is near enough to wait for it within the invocation."""
        return attempts.not_before - now <= self.inline_wait_seconds

    def after_failure(
        self, attempts: Attempts | None, error: MeasuringError, now: float, draw: float
    ) -> Attempts | None:
        """Return the attempts so far after one more has failed.

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
        Attempts or None
            With the time of the next attempt; None when the image has failed.
        """
        if not error.is_transient:
            return None
        count = 1 if attempts is None else attempts.count + 1
        since = now if attempts is None else attempts.since
        wait = (1 + draw) / 2 * self.max_wait_after(attempts)
        if error.retry_after is not None:
            # Longer than the server asks for, so images are not all retried at the same instant.
            wait = min(self.max_wait_seconds, error.retry_after + draw * self.first_wait_seconds)
        if count >= self.max_attempts or now + wait > since + self.give_up_seconds:
            return None
        return Attempts(count, since, now + wait)
