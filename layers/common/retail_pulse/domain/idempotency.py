"""Claims on idempotency keys: a client names a submission, so that sending it again makes no second job."""

import hashlib
import re
from dataclasses import dataclass
from datetime import timedelta

from retail_pulse.domain.errors import InvalidRequestError

# Within it, the same key and body give the same job; the client may use the key anew after it.
LIFETIME = timedelta(hours=24)
_KEY = re.compile(r"[!-~]{1,255}")


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """What the client named a submission, and the SHA-256 of the body that it came with, in hexadecimal."""

    name: str
    body_hash: str

    @classmethod
    def of(cls, name: str, body: bytes) -> "IdempotencyKey":
        """Make it from the header's text and the body.

        Raises
        ------
        InvalidRequestError
            The text is not 1 to 255 visible characters of ASCII.
        """
        if not _KEY.fullmatch(name):
            raise InvalidRequestError("header Idempotency-Key must be 1 to 255 visible ASCII characters")
        return cls(name, hashlib.sha256(body).hexdigest())


@dataclass(frozen=True, slots=True)
class Claim:
    """An idempotency key of a client, taken: for which body, and which job it makes.

    Parameters
    ----------
    job_id
        Of the job, which may not exist yet: the first attempt may have died before it.
    expires_at
        When the key is free again, in seconds of the epoch.
    """

    client: str
    idempotency_key: str
    body_hash: str
    job_id: int
    expires_at: int
