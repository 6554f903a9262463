"""AWS SDK clients that reach the local stack and nothing else."""

from typing import Any

import boto3
from botocore.config import Config

from local.names import AWS_KEY, REGION


def client(service: str, endpoint_url: str) -> Any:
    """Return a boto3 client of the stack at an address.

    Settings of the host (profiles, regions, proxies) do not count: its requests stay on this machine.
    """
    return boto3.client(
        service,  # type: ignore[call-overload]  # the stubs want a literal
        endpoint_url=endpoint_url,
        region_name=REGION,
        aws_access_key_id=AWS_KEY,
        aws_secret_access_key=AWS_KEY,
        config=Config(retries={"mode": "standard", "max_attempts": 3}, proxies={}),
    )
