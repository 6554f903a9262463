"""The environment of the SAM CLI on this machine."""

import os

from local.emulator.emulator import AWS_VARIABLES, PLACEHOLDER, credentials

# For this interpreter only: `sam` and the makefiles of the layers use others.
_INTERPRETER = {"PYTHONPATH", "VIRTUAL_ENV"}


def environment(endpoint_url: str | None = None, secret: str = PLACEHOLDER) -> dict[str, str]:
    """Return this process's environment with the AWS settings of the local account instead of the host's.

    A profile, a session token or an endpoint of the host would reach the SAM CLI and, through it, the functions.

    Parameters
    ----------
    endpoint_url
        The AWS endpoint; None for a command that does not call AWS.
    secret
        The secret of the stack at that endpoint. SAM passes it on to the containers.
    """
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith("AWS_") and name not in _INTERPRETER
    }
    endpoint = {"AWS_ENDPOINT_URL": endpoint_url} if endpoint_url else {}
    return kept | AWS_VARIABLES | credentials(secret) | endpoint | {"SAM_CLI_TELEMETRY": "0"}
