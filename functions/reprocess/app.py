"""Schedule: resumes stalled jobs and retries transient failures."""

import gc

gc.disable()  # until the end of the cold start: `resume_gc` says why

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from retail_pulse.domain.jobs import SweepPolicy
from retail_pulse.runtime.garbage import resume_gc
from retail_pulse.runtime.settings import ReprocessSettings
from retail_pulse.runtime.telemetry import FunctionMetrics, make_logger
from retail_pulse.storage import clients
from retail_pulse.storage.jobs_table import JobsTable
from retail_pulse.storage.queue import PointerQueue
from retail_pulse.use_cases.reprocessing import Reprocessing

# What the largest job takes if the queue hangs: asking for its length, and the time limit of sending.
_LONGEST_JOB_MILLISECONDS = 40_000

logger = make_logger()
metrics = FunctionMetrics()
settings = ReprocessSettings.from_environment()
reprocessing = Reprocessing(
    store=JobsTable(clients.dynamodb(), settings.table_name),
    queue=PointerQueue(clients.sqs(), settings.queue_url),
    sweeps=SweepPolicy(settings.stall_seconds, settings.automatic_runs),
)
resume_gc()


@logger.inject_lambda_context
def handler(_event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Sweep the jobs that are due; return the counts, for people who invoke the function by hand."""
    report = reprocessing.sweep(lambda: context.get_remaining_time_in_millis() > _LONGEST_JOB_MILLISECONDS)
    counts = report.counts()
    logger.info("swept", extra={**counts, "closed": [job.job_id for job in report.closed]})
    metrics.count(
        PointersSentAgain=report.sent,
        JobsOpenedAgain=report.reopened,
        JobsRefused=report.refused,
        SweepsUnfinished=int(report.unfinished),
    )
    metrics.count_ended(report.closed)
    metrics.send()
    return counts
