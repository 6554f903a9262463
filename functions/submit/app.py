"""POST: takes jobs in."""

from datetime import timedelta
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.utilities.typing import LambdaContext

from retail_pulse import aws
from retail_pulse.api import Api, contract_error, json_answer
from retail_pulse.contract import parse_submission
from retail_pulse.dynamo import JobsTable
from retail_pulse.keys import KeyScope
from retail_pulse.queue import PointerQueue
from retail_pulse.settings import SubmitSettings
from retail_pulse.submission import Submission
from retail_pulse.telemetry import Metrics, MetricUnit, make_logger

logger = make_logger()
metrics = Metrics()
settings = SubmitSettings.from_environment()
submission = Submission(
    store=JobsTable(aws.dynamodb(), settings.table_name),
    queue=PointerQueue(aws.sqs(), settings.queue_url),
    chunk_images=settings.chunk_images,
    chunk_bytes=settings.chunk_bytes,
    retention=timedelta(days=settings.job_retention_days),
    stall=timedelta(seconds=settings.stall_seconds),
)
api = Api(contract_error, on_error=logger.exception)


@api.app.post("/api/submit")
def submit() -> Response[str]:
    """Take a job in."""
    client = api.client(KeyScope.SUBMIT)
    job = submission.submit(client, parse_submission(api.body()))
    logger.info("accepted", extra={"client": client, "job_id": job.job_id, "images": job.images, "chunks": job.chunks})
    metrics.add_metric("JobsAccepted", MetricUnit.Count, 1)
    metrics.add_metric("ImagesAccepted", MetricUnit.Count, job.images)
    metrics.flush_metrics()
    return json_answer({"job_id": job.job_id}, HTTPStatus.CREATED)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer an event of API Gateway."""
    return api.answer(event, context)
