"""Schedule: resumes stalled jobs and retries transient failures."""

from dataclasses import asdict
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from retail_pulse.domain.jobs import SweepPolicy
from retail_pulse.runtime.settings import ReprocessSettings
from retail_pulse.runtime.telemetry import Metrics, MetricUnit, make_logger
from retail_pulse.storage import clients
from retail_pulse.storage.jobs_table import JobsTable
from retail_pulse.storage.queue import PointerQueue
from retail_pulse.use_cases.reprocessing import Reprocessing

# What the largest job takes: its claim, and some hundred requests to the queue with the SDK's retries.
_LONGEST_JOB_MILLISECONDS = 30_000

logger = make_logger()
metrics = Metrics()
settings = ReprocessSettings.from_environment()
reprocessing = Reprocessing(
    store=JobsTable(clients.dynamodb(), settings.table_name),
    queue=PointerQueue(clients.sqs(), settings.queue_url),
    sweeps=SweepPolicy(settings.stall_seconds, settings.automatic_runs),
)


@logger.inject_lambda_context
@metrics.log_metrics
def handler(_event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Sweep the jobs that are due; return the counts, for people who invoke the function by hand."""
    report = reprocessing.sweep(lambda: context.get_remaining_time_in_millis() > _LONGEST_JOB_MILLISECONDS)
    counts = asdict(report)
    logger.info("swept", extra=counts)
    metrics.add_metric("PointersSentAgain", MetricUnit.Count, report.sent)
    metrics.add_metric("JobsOpenedAgain", MetricUnit.Count, report.reopened)
    return counts
