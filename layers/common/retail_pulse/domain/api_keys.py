"""API keys: their format, their records, which ones are accepted, and what they allow."""

import hashlib
import re
import secrets
import string
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from retail_pulse.domain.errors import RetailPulseError

# The prefix lets secret scanners find a key that was committed by mistake. The checksum at the end, as in GitHub's
# tokens, spares them false alarms:
# https://github.blog/engineering/platform-security/behind-githubs-new-authentication-token-formats/
PREFIX = "rpk_"
_ALPHABET = string.digits + string.ascii_letters
_RANDOM_CHARACTERS = 32  # 190 bits
_CHECKSUM_CHARACTERS = 6  # 62 ** 6 is more than 2 ** 32
_MADE_HERE = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{_RANDOM_CHARACTERS + _CHECKSUM_CHARACTERS}}}")
_ID_BYTES = 6
_CLIENT = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class InvalidClientError(RetailPulseError):
    """A client's name breaks the rule; names are parts of table keys, so ``#`` is not allowed."""


class InvalidScopeError(RetailPulseError):
    """A name is not a scope, or no scope is named."""


class KeyNotFoundError(RetailPulseError):
    """No API key has this id."""


class KeyScope(StrEnum):
    """What a key allows."""

    SUBMIT = "submit"
    READ = "read"
    # Every route, including future ones; like all scopes, only for the key's client.
    ADMIN = "admin"

    @classmethod
    def parse(cls, names: str) -> "frozenset[KeyScope]":
        """Read scopes, separated by commas.

        Raises
        ------
        InvalidScopeError
            A name is not a scope, or no scope is named.
        """
        found = [name.strip() for name in names.split(",") if name.strip()]
        known = [scope.value for scope in cls]
        for name in found:
            if name not in known:
                raise InvalidScopeError(f"scope {name!r} must be one of {', '.join(known)}")
        if not found:
            raise InvalidScopeError(f"a key needs a scope: {', '.join(known)}")
        return frozenset(map(cls, found))


# What a key allows by default: every route that exists.
DEFAULT_SCOPES = frozenset({KeyScope.SUBMIT, KeyScope.READ})


class Refusal(StrEnum):
    """Why a key is refused."""

    MALFORMED = "malformed"
    UNKNOWN = "unknown"
    REVOKED = "revoked"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """The record of an API key; never the key itself.

    Parameters
    ----------
    key_id
        The key's name in lists and logs; not a secret.
    hash
        SHA-256 of the key, in hexadecimal.
    expires_at
        When the key expires; None for never.
    daily_images
        How many images the key's client may submit per day; None for any number.
    """

    key_id: str
    hash: str
    client: str
    scopes: frozenset[KeyScope]
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    daily_images: int | None = None

    def refusal(self, now: datetime) -> Refusal | None:
        """Return why the key is refused; None when it is accepted."""
        if self.revoked_at is not None:
            return Refusal.REVOKED
        if self.expires_at is not None and self.expires_at <= now:
            return Refusal.EXPIRED
        return None


class KeyRefusedError(RetailPulseError):
    """A key is refused; ``key`` is its record, if it has one."""

    def __init__(self, reason: Refusal, key: ApiKey | None) -> None:
        self.reason = reason
        self.key = key
        super().__init__(f"the key is {reason}")


class KeyStore(Protocol):
    """What `admit` needs from the table."""

    def find(self, key_hash: str) -> ApiKey | None: ...


def admit(store: KeyStore, key: str, now: datetime, local_key: str = "") -> ApiKey:
    """Return the record of an accepted key.

    Parameters
    ----------
    store
        The table.
    key
        Any text.
    now
        The time.
    local_key
        The only key of another form that may be accepted; empty for none.

    Raises
    ------
    KeyRefusedError
        The key is refused. A text that cannot be a key is refused without reading the table.
    """
    if not is_well_formed(key) and (not local_key or key != local_key):
        raise KeyRefusedError(Refusal.MALFORMED, None)
    found = store.find(hash_key(key))
    if found is None:
        raise KeyRefusedError(Refusal.UNKNOWN, None)
    refusal = found.refusal(now)
    if refusal is not None:
        raise KeyRefusedError(refusal, found)
    return found


def allows(scopes: Collection[str], wanted: KeyScope) -> bool:
    """Return whether a key with these scopes may use a route that requires one."""
    return wanted in scopes or KeyScope.ADMIN in scopes


def new_key() -> str:
    """Return a new key with 190 random bits."""
    drawn = PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_CHARACTERS))
    return drawn + _checksum(drawn)


def new_key_id(client: str) -> str:
    """Return a new id for a client's key: the client and 48 random bits, which are not derived from the key."""
    return f"{client}.{secrets.token_hex(_ID_BYTES)}"


def is_well_formed(key: str) -> bool:
    """Return whether a text has the form of a key made here, with the right checksum."""
    return bool(_MADE_HERE.fullmatch(key)) and key.endswith(_checksum(key[:-_CHECKSUM_CHARACTERS]))


def _checksum(text: str) -> str:
    """Return the CRC-32 of a text in base 62: it catches typing errors, and does not protect the key."""
    number = zlib.crc32(text.encode("ascii"))
    digits = []
    for _ in range(_CHECKSUM_CHARACTERS):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))


def hash_key(key: str) -> str:
    """Return the SHA-256 of a key in hexadecimal.

    A plain hash is enough for a long random secret: unlike a password, it is not in any dictionary.
    """
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def check_client(client: str) -> str:
    """Return the client's name, after checking it.

    Raises
    ------
    InvalidClientError
        The name is not 1 to 63 lower-case letters, digits and hyphens, or starts with a hyphen.
    """
    if not _CLIENT.fullmatch(client):
        raise InvalidClientError(f"client {client!r} must be 1 to 63 of a-z, 0-9 and -, not starting with -")
    return client
