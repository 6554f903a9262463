"""The AWS usage of a run of the functions, from its counted calls and measured invocations."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from benchmarks.world.aws_stand_in.server import CallCounts
from benchmarks.world.functions import Invocation
from benchmarks.world.prices import cost
from local.lambda_host.environment import FUNCTIONS, template

# With this much memory a function gets one processor:
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
MEGABYTES_PER_PROCESSOR = 1769
# Estimates in bytes: Lambda's JSON lines per invocation (start, report), and one line of the API's access log.
_PLATFORM_LOG_BYTES = 800
_ACCESS_LOG_BYTES = 350
_GIGABYTE = 10**9
_MILLION = 10**6
# "HTTP APIs are metered in 512 KB increments": https://aws.amazon.com/api-gateway/pricing/
_API_UNIT_BYTES = 512 * 1024
# The memory that the template gives each function, by its folder, in MB.
MEMORY: Mapping[str, int] = {name: template().memory_megabytes(logical_id) for name, logical_id in FUNCTIONS.items()}


def billed_seconds(invocation: Invocation, megabytes: int) -> float:
    """Return the maximum time that Lambda would bill for an invocation.

    The invocation ran here with a full processor; on Lambda it gets a share of one. The bound assumes that nothing else
    happens while it waits for the processor, so its stretched CPU time is added to all other waiting.

    Parameters
    ----------
    invocation
        As measured here.
    megabytes
        The function's memory, which decides its share of a processor.

    Returns
    -------
    float
        Seconds, rounded up to milliseconds as on Lambda's bill.
    """
    share = min(1.0, megabytes / MEGABYTES_PER_PROCESSOR)
    seconds = invocation.seconds + invocation.cpu_seconds * (1 / share - 1)
    return math.ceil(seconds * 1000) / 1000


def gigabyte_seconds(invocations: Iterable[Invocation], megabytes: int) -> float:
    """Return the maximum time that Lambda would bill for invocations of a function with that memory."""
    return sum(billed_seconds(each, megabytes) for each in invocations) * megabytes / 1024


@dataclass(frozen=True, slots=True)
class Usage:
    """The usage of a number of images.

    Parameters
    ----------
    images
        Their number.
    write_units, read_units, queue_requests, api_units, invocations
        As billed.
    api_requests
        As sent. A large request is billed as several.
    gigabyte_seconds
        Of all functions.
    log_bytes, stored_bytes
        Written to the logs, and stored in the table after the jobs have ended.
    """

    images: int
    write_units: int
    read_units: int
    queue_requests: int
    api_requests: int
    api_units: int
    invocations: int
    gigabyte_seconds: float
    log_bytes: int
    stored_bytes: int

    @classmethod
    def of(
        cls, images: int, counts: CallCounts, invocations: Iterable[Invocation], memory: Mapping[str, int] = MEMORY
    ) -> "Usage":
        """Add up a run of that many images. The memory of each function is in MB, by its folder."""
        every = list(invocations)
        of_api = [each for each in every if each.function in ("submit", "status")]
        return cls(
            images=images,
            write_units=sum(each.write_units + each.index_write_units for each in counts.dynamodb.values()),
            read_units=sum(each.read_units for each in counts.dynamodb.values()),
            queue_requests=sum(each.requests for each in counts.sqs.values()),
            api_requests=len(of_api),
            api_units=sum(max(1, math.ceil(each.sent_bytes / _API_UNIT_BYTES)) for each in of_api),
            invocations=len(every),
            gigabyte_seconds=sum(gigabyte_seconds([each], memory[each.function]) for each in every),
            log_bytes=sum(each.log_bytes + _PLATFORM_LOG_BYTES for each in every) + len(of_api) * _ACCESS_LOG_BYTES,
            stored_bytes=sum(taken for _, taken in counts.stored.values()),
        )


def request_charges(usage: Usage) -> dict[str, float]:
    """Return the one-time charges for a million images in USD, by item of the bill."""
    times = _MILLION / usage.images
    return {
        "DynamoDB writes": cost("dynamodb_write_unit", usage.write_units * times),
        "DynamoDB reads": cost("dynamodb_read_unit", usage.read_units * times),
        "SQS": cost("sqs_fair_request", usage.queue_requests * times),
        "API Gateway": cost("api_request", usage.api_units * times),
        "Lambda, time": cost("lambda_arm_gb_second", usage.gigabyte_seconds * times),
        "Lambda, requests": cost("lambda_request", usage.invocations * times),
    }


def other_charges(usage: Usage) -> dict[str, float]:
    """Return the other charges for a million images in USD. Storage and backups are for one month."""
    times = _MILLION / usage.images
    stored = usage.stored_bytes * times / _GIGABYTE
    return {
        "storage, per month": cost("dynamodb_storage_gb_month", stored),
        "backups, per month": cost("dynamodb_backup_gb_month", stored),
        "logs": cost("logs_gb", usage.log_bytes * times / _GIGABYTE),
        "traces, at most": cost("trace", usage.invocations * times),
    }
