"""AWS SDK clients that reach the local stack and nothing else."""

from typing import Any

import boto3
from botocore.config import Config

from local.names import REGION


def client(service: str, endpoint_url: str) -> Any:
    """Return a boto3 client of the stack at an address.

    Settings of the host (profiles, regions, proxies) do not count: its requests stay on this machine.
    """
    return boto3.client(
        service,  # type: ignore[call-overload]  # the stubs want a literal
        endpoint_url=endpoint_url,
        region_name=REGION,
        # The SDK sends nothing without credentials; the emulator checks none.
        aws_access_key_id="local",
        aws_secret_access_key="local",  # noqa: S106
        config=Config(retries={"mode": "standard", "max_attempts": 3}, proxies={}),
    )
