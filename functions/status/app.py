"""GET: returns the status and results of jobs, a client's usage, and the API's description."""

import gc

gc.disable()  # until the end of the cold start: `resume_gc` says why

from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.utilities.typing import LambdaContext

from retail_pulse.api import description
from retail_pulse.api.answers import (
    MAX_LIST_BYTES,
    RESULT_COLUMNS,
    details_answer,
    failed_store_size,
    job_id_from,
    result_size,
    results_answer,
    status_answer,
    usage_answer,
)
from retail_pulse.api.list_answers import (
    IMAGE_COLUMNS,
    JOB_COLUMNS,
    VISIT_COLUMNS,
    image_size,
    images_answer,
    job_size,
    jobs_answer,
    visit_rows,
    visits_answer,
)
from retail_pulse.api.router import VISITS_PATH, Api, json_answer, list_answer
from retail_pulse.domain.api_keys import KeyScope
from retail_pulse.domain.errors import InvalidRequestError, JobNotFoundError
from retail_pulse.domain.jobs import JobStatus
from retail_pulse.runtime.garbage import resume_gc
from retail_pulse.runtime.settings import StatusSettings
from retail_pulse.runtime.telemetry import FunctionMetrics, about_request, make_logger
from retail_pulse.storage import clients
from retail_pulse.storage.jobs_table import JobsTable
from retail_pulse.storage.reads_table import ReadsTable
from retail_pulse.storage.store_master import StoreMaster, StoreMasterError, UnusableStoreMaster
from retail_pulse.storage.usage_table import UsageTable
from retail_pulse.use_cases.image_lists import ImageCursor, ImageLists
from retail_pulse.use_cases.image_rows import ImageFilter, ImageRows, Position
from retail_pulse.use_cases.job_lists import JobLists, job_before
from retail_pulse.use_cases.reading import Reading
from retail_pulse.use_cases.shown import OutcomeKind
from retail_pulse.use_cases.usage import Usage
from retail_pulse.use_cases.visit_reports import VisitCursor, VisitReports

_DEFAULT_PAGE = 100
_LARGEST_PAGE = 1000
_DEFAULT_JOBS = 50
_LARGEST_JOBS = 100
# The description changes only with a deployment, and its routes have a low throttle, enough for people.
_CACHE = {"Cache-Control": "public, max-age=3600"}

logger = make_logger()
metrics = FunctionMetrics()
settings = StatusSettings.from_environment()
dynamodb = clients.dynamodb()
usage = Usage(UsageTable(dynamodb, settings.table_name))
jobs_table = JobsTable(dynamodb, settings.table_name)
reads_table = ReadsTable(dynamodb, settings.table_name)
try:
    stores = StoreMaster.load()
except StoreMasterError as unusable:
    # Only what shows stores is 503 then: lists of images and reports. A status needs no store.
    logger.exception("the store master cannot be used")
    stores = UnusableStoreMaster(unusable)
reading = Reading(
    store=jobs_table,
    find_store=stores.get,
    result_size=result_size,
    failed_store_size=failed_store_size,
    max_bytes=MAX_LIST_BYTES,
)
job_lists = JobLists(reads_table, job_size, MAX_LIST_BYTES)
image_lists = ImageLists(reads_table, ImageRows(jobs_table, stores.get), image_size, MAX_LIST_BYTES)
visit_reports = VisitReports(reads_table, stores)
api = Api(on_error=logger.exception, on_client=usage.count_request)
resume_gc()


def _job_id(text: str | None) -> int:
    """Return the job that a request names; from here on, its log lines name it too."""
    job_id = job_id_from(text)
    logger.append_keys(job_id=job_id)
    return job_id


@api.app.get("/api/status")
def status() -> Response[str]:
    """Return a job's status. An unknown job gets 400 and `{}`, as the contract requires."""
    client = api.client(KeyScope.READ)
    try:
        job = reading.job(client, _job_id(api.parameter("jobid")))
    except (InvalidRequestError, JobNotFoundError):
        return json_answer({}, HTTPStatus.BAD_REQUEST)
    failed = reading.failed_stores(job) if job.status is JobStatus.FAILED else None
    return json_answer(status_answer(job, failed))


@api.app.get("/api/jobs")
def jobs() -> Response[str]:
    """Return a page of the client's jobs."""
    client = api.client(KeyScope.READ)
    query = api.query("status", "from", "to", "limit", "cursor", "format")
    limit = query.integer("limit", _DEFAULT_JOBS, 1, _LARGEST_JOBS)
    before = job_before(query.text("cursor"))
    page = job_lists.page(client, query.period("from", "to"), query.kind("status", JobStatus), before, limit)
    body = jobs_answer(page)
    return list_answer(query, body, body["jobs"], JOB_COLUMNS)


@api.app.get("/api/jobs/<job_id>")
def details(job_id: str) -> Response[str]:
    """Return a job with its times and counts."""
    client = api.client(KeyScope.READ)
    api.query()
    return json_answer(details_answer(reading.progress(client, _job_id(job_id))))


@api.app.get("/api/jobs/<job_id>/results")
def results(job_id: str) -> Response[str]:
    """Return a page of results."""
    client = api.client(KeyScope.READ)
    query = api.query("outcome", "store_id", "limit", "cursor", "format", repeatable={"outcome"})
    wanted = ImageFilter(query.kinds("outcome", OutcomeKind), query.value("store_id"))
    cursor = query.text("cursor")
    start = Position(0, 0) if cursor is None else Position.parse(cursor)
    limit = query.integer("limit", _DEFAULT_PAGE, 1, _LARGEST_PAGE)
    body = results_answer(reading.results(client, _job_id(job_id), start, limit, wanted))
    return list_answer(query, body, body["results"], RESULT_COLUMNS)


@api.app.get("/api/images")
def images() -> Response[str]:
    """Return a page of the images of the client's jobs."""
    client = api.client(KeyScope.READ)
    known = ("from", "to", "area", "store_id", "outcome", "limit", "cursor", "format")
    query = api.query(*known, repeatable={"outcome"})
    wanted = ImageFilter(query.kinds("outcome", OutcomeKind), query.value("store_id"), query.value("area"))
    cursor = query.text("cursor")
    start = None if cursor is None else ImageCursor.parse(cursor)
    limit = query.integer("limit", _DEFAULT_PAGE, 1, _LARGEST_PAGE)
    body = images_answer(image_lists.page(client, query.period("from", "to"), wanted, start, limit))
    return list_answer(query, body, body["images"], IMAGE_COLUMNS)


@api.app.get(VISITS_PATH)
def visits() -> Response[str]:
    """Return a page of the report of the client's visits."""
    client = api.client(KeyScope.READ)
    query = api.query("area", "storeid", "startdate", "enddate", "limit", "cursor", "format")
    zone = settings.report_time_zone
    period = query.period("startdate", "enddate", zone)
    cursor = query.text("cursor")
    start = None if cursor is None else VisitCursor.parse(cursor)
    limit = query.integer("limit", _DEFAULT_PAGE, 1, _LARGEST_PAGE)
    page = visit_reports.page(client, query.text("area"), query.text("storeid"), period, start, limit)
    body = visits_answer(page, zone)
    return list_answer(query, body, visit_rows(body), VISIT_COLUMNS)


@api.app.get("/api/usage")
def read_usage() -> Response[str]:
    """Return the client's usage today and of the 30 days before."""
    client = api.client(KeyScope.READ)
    api.query()
    return json_answer(usage_answer(usage.report(client, api.daily_limit()), api.scopes()))


@api.app.get("/api/health")
def health() -> Response[str]:
    """Return ok: the service answers. Monitors add parameters of their own, which are ignored."""
    return json_answer({"status": "ok"})


@api.app.get("/openapi.json")
def openapi() -> Response[str]:
    """Return the API's description."""
    return Response(HTTPStatus.OK, "application/json", description.openapi(), _CACHE)


@api.app.get("/docs")
def docs() -> Response[str]:
    """Return a page that shows the description and sends requests to the API."""
    headers = _CACHE | {"Content-Security-Policy": description.page_policy()}
    return Response(HTTPStatus.OK, "text/html", description.page(), headers)


@api.app.get("/docs/errors")
def error_codes() -> Response[str]:
    """Return the page of codes."""
    # Only this page needs it.
    from retail_pulse.api import error_page

    headers = _CACHE | {"Content-Security-Policy": error_page.POLICY}
    return Response(HTTPStatus.OK, "text/html", error_page.page(), headers)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Return the response to an event of API Gateway."""
    with about_request(logger, event):
        answer = api.answer(event, context)
        logger.info("answered", extra={"route": event["routeKey"], "status": answer["statusCode"]})
        metrics.count_answer(answer["statusCode"])
        metrics.send()
    return answer
