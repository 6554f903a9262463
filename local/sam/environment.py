"""The environment in which the SAM CLI runs on this machine."""

import os

from local.emulator.emulator import AWS_KEY, REGION

# Of the Python that runs this: `sam` and the makefiles of the layers have others.
_PYTHONS_OWN = {"PYTHONPATH", "VIRTUAL_ENV"}


def environment(endpoint_url: str | None = None) -> dict[str, str]:
    """Return this process's environment without any setting of AWS, and with those of the local account.

    A profile, a session token or an endpoint of the host would reach the SAM CLI and, through it, the functions.

    Parameters
    ----------
    endpoint_url
        What is to answer as AWS; None for a command that calls none.
    """
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith("AWS_") and name not in _PYTHONS_OWN
    }
    return (
        kept
        | ({"AWS_ENDPOINT_URL": endpoint_url} if endpoint_url else {})
        | {
            "AWS_ACCESS_KEY_ID": AWS_KEY,
            "AWS_SECRET_ACCESS_KEY": AWS_KEY,
            "AWS_DEFAULT_REGION": REGION,
            # Files of the host's AWS tools could name other endpoints and profiles.
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "SAM_CLI_TELEMETRY": "0",
        }
    )
