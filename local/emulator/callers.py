"""Who may call the emulator: whoever has the secret of this start, and roles: those of the functions, or assumed ones.

ministack takes a request for the account's root, without a look at its signature, when its access key ID is the
configured one, `test`, or any twelve digits. It derives the credentials of a function from the function's ARN, and some
of its routes need none. So the configured ID is a secret, no other ID gets past the gateway, and the credentials of the
functions depend on the secret too.
"""

import hmac
import re
import secrets
from collections.abc import Callable, Mapping
from typing import Any

# ministack looks for the ID in the same place of the header; only a whole match is one that both read alike.
_CREDENTIAL = re.compile(rb"AWS4-HMAC-SHA256 Credential=([0-9A-Za-z]+)/")

Register = Callable[[str, dict[str, Any]], None]
Derive = Callable[[dict[str, Any]], dict[str, str]]


def new_secret() -> str:
    """Return the secret of one start: 128 random bits, as access key ID and as secret access key."""
    return secrets.token_hex(16)


class Callers:
    """The access key IDs that may call the emulator."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._ids = {secret.encode()}

    def admits(self, headers: list[tuple[bytes, bytes]]) -> bool:
        """Return whether a request has one of the IDs. The emulator checks the signatures of all but the secret."""
        sent = [value for name, value in headers if name.lower() == b"authorization"]
        # Of several headers, the emulator could read another one.
        found = _CREDENTIAL.match(sent[0]) if len(sent) == 1 else None
        return found is not None and any(hmac.compare_digest(found[1], each) for each in list(self._ids))

    def sessions(self, register: Register) -> Register:
        """Return the emulator's function that registers the credentials of a role; they may call from then on."""

        def registered(key: str, session: dict[str, Any]) -> None:
            register(key, session)
            self._ids.add(key.encode())

        return registered

    def role_credentials(self, derive: Derive) -> Derive:
        """Return the emulator's function for the credentials of a function, with a result that cannot be guessed."""

        def derived(config: Mapping[str, Any]) -> dict[str, str]:
            # A qualifier of the ARN only changes what is derived from it.
            return derive({**config, "FunctionArn": f"{config['FunctionArn']}:{self._secret}"})

        return derived
