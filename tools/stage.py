"""The stage that a command works on: a stack on AWS, or the embedded stack of the same user."""

import argparse
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

from local.emulator import clients
from local.emulator.emulator import STACK_NAME
from local.stack.shell_file import NoStackError, find_secret
from retail_pulse.domain.errors import RetailPulseError

_DEFAULT_STACK = "retail-pulse-dev"
# What a command meets when the stage does not exist or refuses a call.
ERRORS = (NoStackError, ClientError, BotoCoreError)
_LOCAL_HINT = "; without an AWS account, URL=http://127.0.0.1:8080 names the stack of `make serve`"


def reason(error: Exception) -> str:
    """Return the text of an error, with a hint for people without an AWS account."""
    hint = _LOCAL_HINT if isinstance(error, NoCredentialsError | NoRegionError) else ""
    return f"{str(error).rstrip('.')}{hint}"


def arguments() -> argparse.ArgumentParser:
    """Return a parent parser with the arguments that select a stage."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--stack", help=f"name of the CloudFormation stack, {_DEFAULT_STACK} by default")
    parser.add_argument("--url", help="the embedded stack's URL, such as http://127.0.0.1:8080, instead of AWS")
    return parser


def connect(options: argparse.Namespace, *needed: str) -> tuple[Callable[[str], Any], Mapping[str, str]]:
    """Return what makes clients of a service by its name, and the stack's outputs.

    Raises
    ------
    RetailPulseError
        The stack lacks an output that is needed.
    """
    client: Any = boto3.client
    if options.url:
        # The embedded stack has its own credentials; those of AWS must not reach it.
        client = partial(clients.client, endpoint_url=options.url, secret=find_secret(options.url))
    stack = options.stack or (STACK_NAME if options.url else _DEFAULT_STACK)
    (found,) = client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    outputs = {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", [])}
    if missing := [name for name in needed if name not in outputs]:
        raise RetailPulseError(f"stack {stack} has no output {missing[0]}: it is not a stack of Retail Pulse")
    return client, outputs
