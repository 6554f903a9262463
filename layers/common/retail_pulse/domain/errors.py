"""The errors that this package raises on purpose; only `api/request_errors.py` gives them HTTP status codes.

Errors of one subject are defined next to it::

    RetailPulseError
    ├── InvalidRequestError
    │   └── InvalidSubmissionError
    ├── BodyTooLargeError
    ├── UnsupportedEncodingError
    ├── JobNotFoundError
    ├── IdempotencyMismatchError
    ├── JobIsOpenError
    ├── NothingToRetryError
    ├── RetriesUsedUpError
    ├── RetryLaterError
    │   ├── RetriedTooSoonError
    │   └── DailyLimitError           domain/usage.py
    ├── ForbiddenError
    ├── JobIdTakenError
    ├── StorageUnavailableError
    │   ├── PartlyRefusedError        storage/errors.py
    │   ├── ThrottledError            storage/errors.py
    │   └── StoreMasterError          storage/store_master.py
    ├── InvalidPointerError
    ├── SettingsError
    ├── InvalidClientError            domain/api_keys.py
    ├── InvalidScopeError             domain/api_keys.py
    ├── KeyNotFoundError              domain/api_keys.py
    └── KeyRefusedError               domain/api_keys.py

`MeasuringError` in domain/failures.py is not one of them: it becomes the outcome of an image.
"""

from typing import NamedTuple


class RetailPulseError(Exception):
    """Base of every error that this package raises on purpose."""


class InvalidRequestError(RetailPulseError):
    """The client's request breaks a rule; the text names the place and the rule."""


class Problem(NamedTuple):
    """A place in a submission, and the rule that it breaks."""

    place: str
    rule: str


class InvalidSubmissionError(InvalidRequestError):
    """A submission breaks rules; the text is the first of ``problems``, which has at least one."""

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems
        super().__init__(" ".join(problems[0]))

    @classmethod
    def at(cls, place: str, rule: str) -> "InvalidSubmissionError":
        """Return the error of a single problem."""
        return cls(Problem(place, rule))


class BodyTooLargeError(RetailPulseError):
    """The body is longer than this stage accepts."""


class UnsupportedEncodingError(RetailPulseError):
    """The body is compressed, or encoded in another way."""


class JobNotFoundError(RetailPulseError):
    """The client has no such job."""


class IdempotencyMismatchError(RetailPulseError):
    """The idempotency key was used for another body."""


class JobIsOpenError(RetailPulseError):
    """A run of the job has not ended, so it cannot be reopened."""


class NothingToRetryError(RetailPulseError):
    """The job has no failed image."""


class RetriesUsedUpError(RetailPulseError):
    """The client has retried the job as often as it may."""


class RetryLaterError(RetailPulseError):
    """The client has to wait; ``seconds`` says how long."""

    def __init__(self, text: str, seconds: int) -> None:
        self.seconds = seconds
        super().__init__(text)


class RetriedTooSoonError(RetryLaterError):
    """The client has just retried the job."""


class ForbiddenError(RetailPulseError):
    """The client's key lacks the scope that the route requires."""


class JobIdTakenError(RetailPulseError):
    """The client already has a job with this id; another id must be drawn."""


class StorageUnavailableError(RetailPulseError):
    """The table or the queue refused a request, despite the SDK's retries; or the store master cannot be used."""


class InvalidPointerError(RetailPulseError):
    """A message of the queue is not a pointer to a chunk."""


class SettingsError(RetailPulseError):
    """A variable of the function's environment is missing or breaks a rule; the text names it."""
