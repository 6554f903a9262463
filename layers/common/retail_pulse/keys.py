"""API keys: how they look, how they are kept, what they allow."""

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from retail_pulse.errors import RetailPulseError

# A fixed prefix lets secret scanners find a key that was committed by mistake.
PREFIX = "rpk_"
_RANDOM_BYTES = 24
_CLIENT = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class InvalidClientError(RetailPulseError):
    """A client's name breaks the rule; names are parts of table keys, hence no ``#``."""


class KeyScope(StrEnum):
    """What a key allows."""

    SUBMIT = "submit"
    READ = "read"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is kept of an API key; never the key itself."""

    hash: str
    client: str
    scopes: frozenset[KeyScope]
    created_at: datetime
    revoked_at: datetime | None = None


def new_key() -> str:
    """Draw a key of 192 random bits."""
    return PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)


def hash_key(key: str) -> str:
    """Return the SHA-256 of a key in hexadecimal.

    A plain hash is enough where the secret is random and long: there is no dictionary to try (unlike passwords).
    """
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def check_client(client: str) -> str:
    """Return the client's name when it keeps the rule.

    Raises
    ------
    InvalidClientError
        Unless it has 1 to 63 lower-case letters, digits and hyphens and starts with a letter or digit.
    """
    if not _CLIENT.fullmatch(client):
        raise InvalidClientError(f"client {client!r} must be 1 to 63 of a-z, 0-9 and -, not starting with -")
    return client
