"""The environment of the SAM CLI on this machine."""

import os

from local.emulator.emulator import AWS_KEY, REGION

# For this interpreter only: `sam` and the makefiles of the layers use others.
_INTERPRETER = {"PYTHONPATH", "VIRTUAL_ENV"}


def environment(endpoint_url: str | None = None) -> dict[str, str]:
    """Return this process's environment with the AWS settings of the local account instead of the host's.

    A profile, a session token or an endpoint of the host would reach the SAM CLI and, through it, the functions.

    Parameters
    ----------
    endpoint_url
        The AWS endpoint; None for a command that does not call AWS.
    """
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith("AWS_") and name not in _INTERPRETER
    }
    return (
        kept
        | ({"AWS_ENDPOINT_URL": endpoint_url} if endpoint_url else {})
        | {
            "AWS_ACCESS_KEY_ID": AWS_KEY,
            "AWS_SECRET_ACCESS_KEY": AWS_KEY,
            "AWS_DEFAULT_REGION": REGION,
            # The host's AWS files could name other endpoints and profiles.
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "SAM_CLI_TELEMETRY": "0",
        }
    )
