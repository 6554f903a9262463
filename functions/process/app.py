"""SQS: measures the images of a batch of chunks."""

import gc

gc.disable()  # until the end of the cold start: `resume_gc` says why

from collections.abc import Sequence
from math import ceil
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from retail_pulse.domain.errors import InvalidPointerError
from retail_pulse.domain.hosts import Hosts
from retail_pulse.domain.jobs import SweepPolicy
from retail_pulse.domain.retries import RetryPolicy
from retail_pulse.measuring.download.policy import CallPolicy
from retail_pulse.measuring.download.urls import host_key
from retail_pulse.measuring.fetch import Fetcher, FetchLimits
from retail_pulse.measuring.formats.pixels import PixelCheck
from retail_pulse.runtime.garbage import resume_gc
from retail_pulse.runtime.one_core import stay_on_one_core
from retail_pulse.runtime.settings import ProcessSettings
from retail_pulse.runtime.telemetry import FunctionMetrics, MetricUnit, make_logger, open_descriptors
from retail_pulse.storage import clients
from retail_pulse.storage.jobs_table import JobsTable
from retail_pulse.storage.queue import PointerQueue, decode
from retail_pulse.storage.store_master import StoreMaster
from retail_pulse.use_cases.batch import BatchReport, Delivery
from retail_pulse.use_cases.chunk_measurer import ChunkMeasurer
from retail_pulse.use_cases.image_pool import ImagePool
from retail_pulse.use_cases.processing import Processing

# What an invocation needs after its last image: the writes, one of which may hang in all of its attempts.
_RESERVE_SECONDS = 15
# Messages stay hidden for longer than this worker may live, so that no second worker measures what it still holds.
_VISIBILITY_MARGIN_SECONDS = 30
_FIRST_REDELIVERY_SECONDS = 5
_MAX_REDELIVERY_SECONDS = 150
# Hosts that the log line of a batch names.
_HOSTS_LOGGED = 5

logger = make_logger()
metrics = FunctionMetrics()
settings = ProcessSettings.from_environment()
hosts = Hosts(settings.max_requests_per_host)
fetcher = Fetcher(
    FetchLimits(
        connect_seconds=settings.connect_timeout_seconds,
        read_seconds=settings.read_timeout_seconds,
        image_seconds=settings.image_deadline_seconds,
        image_bytes=settings.max_image_bytes,
        image_side=settings.max_image_side,
        redirects=settings.max_redirects,
    ),
    CallPolicy(settings.allowed_networks, settings.allowed_ports, settings.allowed_hosts, settings.own_hosts),
    hosts,
    settings.user_agent,
    PixelCheck(settings.memory_megabytes) if settings.pixel_check == "all" else None,
)
pool = ImagePool(
    fetcher.measure, settings.threads, hosts, host_key, settings.delay_min_seconds, settings.delay_max_seconds
)
measurer = ChunkMeasurer(
    knows_store=StoreMaster.load().__contains__,
    pool=pool,
    retries=RetryPolicy(
        max_attempts=settings.image_tries,
        give_up_seconds=settings.image_retry_seconds,
        first_wait_seconds=settings.first_wait_seconds,
        max_wait_seconds=settings.longest_wait_seconds,
        inline_wait_seconds=settings.inline_wait_seconds,
    ),
)
queue = PointerQueue(clients.sqs(), settings.queue_url)
processing = Processing(
    store=JobsTable(clients.dynamodb(), settings.table_name),
    queue=queue,
    measurer=measurer,
    sweeps=SweepPolicy(settings.stall_seconds, settings.automatic_runs),
)
resume_gc()
stay_on_one_core()
# An image that starts with less time left than this could be cut off midway.
_LONGEST_IMAGE_MILLISECONDS = 1000 * (settings.image_deadline_seconds + settings.delay_max_seconds + _RESERVE_SECONDS)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Process a batch; return the messages that SQS has to deliver again."""
    messages = event["Records"]
    seconds_left = context.get_remaining_time_in_millis() / 1000
    # If this worker dies, its messages come back soon after the time at which Lambda would have ended it.
    queue.hide({message["receiptHandle"]: ceil(seconds_left) + _VISIBILITY_MARGIN_SECONDS for message in messages})
    deliveries, unreadable = [], []
    for message in messages:
        try:
            deliveries.append(Delivery(message["messageId"], decode(message["body"]), _receives(message)))
        except InvalidPointerError:
            # It goes to the dead-letter queue by the redrive policy, for a person to inspect.
            unreadable.append(message["messageId"])
    report = processing.process(
        deliveries,
        lambda: context.get_remaining_time_in_millis() > _LONGEST_IMAGE_MILLISECONDS,
        lease_seconds=seconds_left,
    )
    failed = sorted(report.failed_messages) + unreadable
    queue.hide(
        {each["receiptHandle"]: _seconds_before_redelivery(each) for each in messages if each["messageId"] in failed}
    )
    _report(deliveries, report, len(failed), len(unreadable))
    return {"batchItemFailures": [{"itemIdentifier": message} for message in failed]}


def _report(deliveries: Sequence[Delivery], report: BatchReport, given_back: int, unreadable: int) -> None:
    """Write the log line and the metrics of a batch."""
    redelivered = sum(each.receives > 1 for each in deliveries)
    logger.info(
        "processed",
        extra={
            "chunks": len(deliveries),
            "clients": sorted({each.pointer.client for each in deliveries}),
            "jobs": sorted({each.pointer.job_id for each in deliveries}),
            "measured": report.measured,
            "failures": report.failures,
            "retried": report.retried,
            "dropped": report.dropped,
            "requeued": report.requeued,
            "redelivered": redelivered,
            "delivered_again": given_back,
            "unreadable": unreadable,
            "closed": [job.job_id for job in report.closed],
            "hosts": hosts.tallies.take(_HOSTS_LOGGED),
        },
    )
    metrics.count(
        ImagesMeasured=report.measured,
        ImagesFailed=report.failures.total(),
        **{f"ImagesFailed.{code}": count for code, count in report.failures.items()},
        AttemptsRetried=report.retried,
        ChunksRequeued=report.requeued,
        MessagesRedelivered=redelivered,
    )
    metrics.count_ended(report.closed)
    metrics.add("OpenDescriptors", MetricUnit.Count, open_descriptors())
    metrics.send()


def _receives(message: dict[str, Any]) -> int:
    """Return how often a message was delivered, this time included."""
    return int(message["attributes"]["ApproximateReceiveCount"])


def _seconds_before_redelivery(message: dict[str, Any]) -> int:
    """Return how long a message that is given back stays hidden: longer with each delivery."""
    return min(_MAX_REDELIVERY_SECONDS, _FIRST_REDELIVERY_SECONDS << min(_receives(message) - 1, 10))
