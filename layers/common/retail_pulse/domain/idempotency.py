"""Claims on idempotency keys: a client names a submission, so sending it twice creates only one job."""

import hashlib
import re
from datetime import timedelta
from typing import NamedTuple

from retail_pulse.domain.errors import InvalidSubmissionError

# Within it, the same key and body give the same job; after it, the client may use the key again.
LIFETIME = timedelta(hours=24)
_KEY = re.compile(r"[!-~]{1,255}")


class IdempotencyKey(NamedTuple):
    """The client's name for a submission, and the SHA-256 of its body in hexadecimal."""

    name: str
    body_hash: str

    @classmethod
    def of(cls, name: str, body: bytes) -> "IdempotencyKey":
        """Return the key of a header's text and a body.

        Raises
        ------
        InvalidSubmissionError
            The text is not 1 to 255 visible characters of ASCII.
        """
        if not _KEY.fullmatch(name):
            raise InvalidSubmissionError.at("header Idempotency-Key", "must be 1 to 255 visible ASCII characters")
        return cls(name, hashlib.sha256(body).hexdigest())


class Claim(NamedTuple):
    """A client's claim on an idempotency key: for which body, and for which job.

    Parameters
    ----------
    job_id
        The job's id. The job may not exist yet: the first attempt may have died before it stored the job.
    expires_at
        When the key is free again, in seconds of the epoch.
    """

    client: str
    idempotency_key: str
    body_hash: str
    job_id: int
    expires_at: int
