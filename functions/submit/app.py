"""POST: accepts jobs, and reopens them."""

import gc

gc.disable()  # until the end of the cold start: `resume_gc` says why

from datetime import timedelta
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.utilities.typing import LambdaContext

from retail_pulse.api.answers import job_id_from, retry_answer
from retail_pulse.api.router import SUBMIT_PATH, Api, json_answer
from retail_pulse.api.submit_body import SubmissionLimits, parse_submission
from retail_pulse.domain.api_keys import KeyScope
from retail_pulse.domain.idempotency import IdempotencyKey
from retail_pulse.domain.jobs import SweepPolicy
from retail_pulse.runtime.garbage import tune_gc
from retail_pulse.runtime.one_core import stay_on_one_core
from retail_pulse.runtime.settings import SubmitSettings
from retail_pulse.runtime.telemetry import FunctionMetrics, about_request, make_logger
from retail_pulse.storage import clients
from retail_pulse.storage.jobs_table import JobsTable
from retail_pulse.storage.queue import PointerQueue
from retail_pulse.storage.usage_table import UsageTable
from retail_pulse.use_cases.retrying import Retrying
from retail_pulse.use_cases.submission import Submission
from retail_pulse.use_cases.usage import Usage

_REPLAYED = {"Idempotent-Replayed": "true"}

logger = make_logger()
metrics = FunctionMetrics()
settings = SubmitSettings.from_environment()
# A client waits 30 s at most: writing all chunks, and then a call that hangs, must fit into that.
dynamodb = clients.dynamodb(attempts=2)
table = JobsTable(dynamodb, settings.table_name)
usage = Usage(UsageTable(dynamodb, settings.table_name))
queue = PointerQueue(clients.sqs(attempts=2), settings.queue_url)
limits = SubmissionLimits(settings.max_body_bytes, settings.max_job_visits, settings.max_job_images)
submission = Submission(
    store=table,
    queue=queue,
    usage=usage,
    chunk_images=settings.chunk_images,
    chunk_bytes=settings.chunk_bytes,
    retention=timedelta(days=settings.job_retention_days),
    stall=timedelta(seconds=settings.stall_seconds),
)
retrying = Retrying(table, queue, SweepPolicy(settings.stall_seconds, settings.automatic_runs))
api = Api(on_error=logger.exception, on_client=usage.count_request)
tune_gc()
stay_on_one_core()


@api.app.post(SUBMIT_PATH)
def submit() -> Response[str]:
    """Accept a job."""
    client = api.client(KeyScope.SUBMIT)
    body = api.body()
    name = api.header("idempotency-key")
    daily_limit = api.daily_limit()
    replays: dict[str, str | list[str]] = {}
    if name is None:
        visits, metadata = parse_submission(body, limits)
        job = submission.submit(client, visits, daily_limit, metadata)
    else:
        idempotency = IdempotencyKey.of(name, body)
        visits, metadata = parse_submission(body, limits)
        job = submission.submit_once(
            client, visits, idempotency, daily_limit, metadata, lambda: replays.update(_REPLAYED)
        )
    if replays:
        logger.info("replayed", extra={"job_id": job.job_id})
    else:
        logger.info("accepted", extra={"job_id": job.job_id, "images": job.images, "chunks": job.chunks})
        metrics.count(JobsAccepted=1, ImagesAccepted=job.images)
    headers = {"Location": f"/api/jobs/{job.job_id}"} | replays
    return json_answer({"job_id": job.job_id}, HTTPStatus.CREATED, headers=headers)


@api.app.post("/api/jobs/<job_id>/retry")
def retry(job_id: str) -> Response[str]:
    """Reopen an ended job for its failed images."""
    client = api.client(KeyScope.SUBMIT)
    api.query()
    number = job_id_from(job_id)
    logger.append_keys(job_id=number)
    job = retrying.retry(client, number)
    logger.info("reopened", extra={"run": job.run})
    return json_answer(retry_answer(job), HTTPStatus.ACCEPTED)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Return the response to an event of API Gateway."""
    with about_request(logger, event):
        answer = api.answer(event, context)
        metrics.count_answer(answer["statusCode"])
        metrics.send()
    return answer
