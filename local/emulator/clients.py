"""AWS SDK clients that reach only the local stack."""

import os
from functools import cache
from typing import Any

import boto3
import botocore.session
from botocore.config import Config

from local.emulator.emulator import PLACEHOLDER, REGION

# The host may name a profile that does not exist, and its AWS files may contain anything: both are ignored.
_IGNORE_HOST = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}


def client(service: str, endpoint_url: str, secret: str = PLACEHOLDER, **settings: Any) -> Any:
    """Return a boto3 client of a local stack, which has the secret; `settings` are added to botocore's `Config`.

    The host's settings (profiles, regions, proxies) are ignored, so the client's requests stay on this machine.
    """
    chosen: dict[str, Any] = {"retries": {"mode": "standard", "max_attempts": 3}, "proxies": {}} | settings
    return _session().client(
        service,  # type: ignore[call-overload]  # the stubs want a literal
        endpoint_url=endpoint_url,
        region_name=REGION,
        aws_access_key_id=secret,
        aws_secret_access_key=secret,
        config=Config(**chosen),
    )


@cache
def _session() -> boto3.Session:
    return boto3.Session(botocore_session=botocore.session.Session(session_vars=_IGNORE_HOST))
