"""When an image is tried again, and when it is given up: exponential backoff with equal jitter, and `Retry-After`."""

from dataclasses import dataclass

from retail_pulse.domain.failures import MeasuringError


@dataclass(frozen=True, slots=True)
class Attempts:
    """How often an image has been tried in its run, without an outcome so far.

    Parameters
    ----------
    count
        Tries that failed.
    since
        When the first of them failed, in seconds of the epoch.
    not_before
        When the next one may begin, in seconds of the epoch.
    """

    count: int
    since: float
    not_before: float


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How an image is tried again whose failure may pass.

    Parameters
    ----------
    max_tries
        Tries of an image in one run, the first one included; after the last one it has failed.
    give_up_seconds
        How long after its first failure an image is given up at the latest.
    first_wait_seconds
        Upper bound of the first wait; doubled for each one after it.
    longest_wait_seconds
        Upper bound of every wait, also of one that a server asks for.
    inline_wait_seconds
        Longest wait within the invocation; a longer one is the queue's, by a delayed pointer.

    Notes
    -----
    "Equal jitter" of Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015: a wait is drawn from
    the upper half of its bound. With waits from nothing on, his "full jitter", low draws spend all tries within a short
    outage, or come to the longest waits within it.
    """

    max_attempts: int
    give_up_seconds: float
    first_wait_seconds: float = 1.0
    max_wait_seconds: float = 900.0
    inline_wait_seconds: float = 5.0

    def max_wait_after(self, attempts: Attempts | None) -> float:
        """Return the upper bound of the wait after one more failed try, in seconds."""
        doublings = 0 if attempts is None else attempts.count
        # Beyond 2^30 every bound is the longest one; the shift must not grow with what the table holds.
        return min(self.max_wait_seconds, self.first_wait_seconds * (1 << min(doublings, 30)))

    def waits_inline(self, attempts: Attempts, now: float) -> bool:
        """Tell whether the next try is near enough to wait for it within the invocation."""
        return attempts.not_before - now <= self.inline_wait_seconds

    def after_failure(
        self, attempts: Attempts | None, error: MeasuringError, now: float, draw: float
    ) -> Attempts | None:
        """Decide what a failed try leads to.

        Parameters
        ----------
        attempts
            What was tried before, None for nothing.
        error
            Why it failed.
        now
            Seconds of the epoch.
        draw
            A random number from 0 to 1, which the wait is drawn with, from half of its bound up to it.

        Returns
        -------
        Tries or None
            With the time of the next try; None when the image has failed for good.
        """
        if not error.is_transient:
            return None
        count = 1 if attempts is None else attempts.count + 1
        since = now if attempts is None else attempts.since
        wait = (1 + draw) / 2 * self.max_wait_after(attempts)
        if error.retry_after is not None:
            # On top of what the server asks for, so that not all come back in the same instant.
            wait = min(self.max_wait_seconds, error.retry_after + draw * self.first_wait_seconds)
        if count >= self.max_attempts or now + wait > since + self.give_up_seconds:
            return None
        return Attempts(count, since, now + wait)
