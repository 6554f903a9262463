"""Response models, for the OpenAPI description and for tests.

No function imports them: functions write plain dicts, since pydantic would slow down every cold start.
"""

import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, RootModel
from typing_extensions import TypeAliasType

from retail_pulse.domain.failures import FailureCode
from retail_pulse.domain.jobs import JobStatus
from retail_pulse.use_cases.shown import OutcomeKind

# Without the format, generated code in some languages has 32 bits for it.
Int64 = Annotated[int, Field(json_schema_extra={"format": "int64"})]
JobId = Annotated[str, Field(description="The number of the job.", examples=["244688486400005"])]
# An alias with a name becomes a schema with a name.
Metadata = TypeAliasType(
    "Metadata", Annotated[dict[str, str], Field(description="The pairs of the submission; empty without any.")]
)
Cursor = Annotated[str | None, Field(description="The cursor of the next page; null on the last page.")]
ErrorCode = Annotated[
    str, Field(description="For programs; `/docs/errors` explains each code.", examples=["invalid_request"])
]


class Submitted(BaseModel):
    """The job was accepted."""

    job_id: Annotated[Int64, Field(ge=0, lt=2**53)]


class SubmissionError(BaseModel):
    """Why a submission is refused."""

    error: Annotated[str, Field(description="The place and the rule.", examples=["visits[1].store_id is missing"])]
    code: ErrorCode


class ReportError(BaseModel):
    """What is wrong with the request for a report."""

    error: Annotated[
        str, Field(description="The place and the rule.", examples=["area is not an area of the store master"])
    ]


class BodyProblem(BaseModel):
    """A place in the request, and the rule that it breaks."""

    place: Annotated[str, Field(examples=["visits[1].store_id"])]
    rule: Annotated[str, Field(examples=["is missing"])]


class InvalidSubmission(BaseModel):
    """What is wrong with a submission."""

    error: Annotated[str, Field(description="The first of the problems.", examples=["visits[1].store_id is missing"])]
    code: ErrorCode
    errors: Annotated[
        list[BodyProblem],
        Field(description="All problems, up to 100, in the order of the body. The first one is that of `error`."),
    ]


class NoSuchJob(BaseModel):
    """An empty object: the client has no such job."""

    model_config = ConfigDict(extra="forbid")


class StoreError(BaseModel):
    """A store with an image that could not be measured."""

    store_id: str
    error: Annotated[str, Field(description="The reason, the first failed URL and the number of other failed images.")]


class StatusAnswer(BaseModel):
    """A job's status.

    For a failed job, ``error`` lists the failed stores, in the order of the body. In a large job the list may be
    partial: at most 100 chunks are read (5,000 images). ``GET /api/jobs/{job_id}/results`` has every image.
    """

    status: JobStatus
    job_id: JobId
    error: Annotated[list[StoreError], Field(default_factory=list, description="Only in the status of a failed job.")]


class Counts(BaseModel):
    """Counts by outcome."""

    total: int
    measured: int
    failed: int
    pending: int


class _JobTimes(BaseModel):
    """What details and lists say of a job."""

    job_id: JobId
    status: JobStatus
    run: Annotated[int, Field(description="How often the job has been opened, starting at 1.")]
    created_at: Annotated[AwareDatetime, Field(examples=["2026-11-23T10:00:00.000Z"])]
    ended_at: Annotated[AwareDatetime | None, Field(description="When its last run ended; null while it is ongoing.")]
    expires_at: Annotated[AwareDatetime, Field(description="When the job is deleted.")]
    metadata: Metadata


class JobDetails(_JobTimes):
    """A job with its times and counts."""

    visits: Counts
    images: Counts


class ListedJob(_JobTimes):
    """A job of a list."""

    visits: Annotated[int, Field(description="Number of visits.")]
    images: Annotated[int, Field(description="Number of images.")]
    progress: Annotated[float, Field(ge=0, le=1, description="The part of the job that the current run has finished.")]


class JobList(BaseModel):
    """A page of jobs, newest first."""

    jobs: list[ListedJob]
    next_cursor: Cursor


class Reopened(BaseModel):
    """The job is open again for its failed images."""

    job_id: JobId
    status: Literal["ongoing"]
    run: Annotated[int, Field(description="The new run, starting at 2.")]


class ImageError(BaseModel):
    """Why an image could not be measured."""

    code: FailureCode
    message: str


class ImageResult(BaseModel):
    """One image of a job."""

    visit: Annotated[int, Field(description="Position of the visit in the body, starting at 0.")]
    image: Annotated[int, Field(description="Position of the image in the visit, starting at 0.")]
    store_id: str
    store_name: str | None
    area_code: str | None
    visit_time: str
    url: str
    outcome: OutcomeKind
    width: int | None
    height: int | None
    perimeter: Annotated[Int64 | None, Field(description="2 * (height + width), in pixels.")]
    format: Annotated[str | None, Field(examples=["JPEG"])]
    bytes: Int64 | None
    error: ImageError | None
    attempts: Annotated[
        int | None, Field(description="How many attempts there were so far, in all runs; null for a measured image.")
    ]
    last_error: Annotated[ImageError | None, Field(description="Why the last attempt at a pending image failed.")]
    next_attempt_at: Annotated[
        AwareDatetime | None,
        Field(
            description="When a pending image may be attempted again; null for at once.",
            examples=["2026-11-23T10:00:00.000Z"],
        ),
    ]


class ResultList(BaseModel):
    """A page of results, in the order of the body."""

    results: list[ImageResult]
    next_cursor: Cursor


class ListedImage(ImageResult):
    """One image of a list over all jobs."""

    job_id: JobId
    submitted_at: Annotated[AwareDatetime, Field(description="When the job was created.")]


class ImageList(BaseModel):
    """A page of images, the newest job first, each job in the order of its body."""

    images: list[ListedImage]
    next_cursor: Cursor


class ReportedVisit(BaseModel):
    """A visit whose images are all measured."""

    date: Annotated[
        AwareDatetime | None,
        Field(
            description="The visit's time in the time zone of reports; null if the client's text was not a time.",
            examples=["2026-11-23T10:00:00.000Z"],
        ),
    ]
    perimeter: Annotated[Int64, Field(description="The sum over the visit's images, in pixels.")]


class StoreVisits(BaseModel):
    """The visits to a store, in the order of time."""

    store_id: str
    area: str
    store_name: str
    data: list[ReportedVisit]


class VisitReport(BaseModel):
    """A page of a report: the stores that have visits, by id."""

    results: list[StoreVisits]
    next_cursor: Cursor


class DayUsage(BaseModel):
    """What a client has used on a day."""

    date: Annotated[datetime.date, Field(description="The day in UTC.", examples=["2026-11-23"])]
    images: Annotated[int, Field(description="Images of accepted submissions.")]
    requests: Annotated[int, Field(description="Requests with a valid key; those of the last minute may be missing.")]


class TodayUsage(DayUsage):
    """What a client has used today, and what is left."""

    limit: Annotated[int | None, Field(description="The calling key's daily limit of images; null without one.")]
    remaining: Annotated[int | None, Field(description="How many images the limit leaves; null without one.")]
    resets_at: Annotated[AwareDatetime, Field(description="When the day ends.", examples=["2026-11-24T00:00:00.000Z"])]


class Usage(BaseModel):
    """A client's usage."""

    client: str
    scopes: Annotated[
        list[Literal["admin", "read", "submit"]],
        Field(description="The scopes of the calling key; `admin` is both others."),
    ]
    today: TodayUsage
    days: Annotated[list[DayUsage], Field(description="The 30 days before, newest first, without those of no usage.")]


class Health(BaseModel):
    """The service is up."""

    status: Literal["ok"]


class Problem(BaseModel):
    """Problem details (RFC 9457)."""

    type: Annotated[str, Field(description="Where the code is explained.", examples=["/docs/errors#job_not_found"])]
    title: Annotated[str, Field(examples=["Job not found"])]
    status: Annotated[int, Field(examples=[404])]
    detail: Annotated[str, Field(examples=["no such job"])]
    code: ErrorCode
    request_id: Annotated[str, Field(description="The request in the service's log; name it when you ask for help.")]


class GatewayError(BaseModel):
    """What API Gateway sends itself, such as for an unknown key or too many requests."""

    message: Annotated[str, Field(examples=["Unauthorized"])]


# One union for all statuses, so that generated code can read whatever comes. The order matters to some generators: they
# take the first model whose required fields are there.
class AnyError(RootModel[Problem | GatewayError]):
    """The body of an error: from a function, or from API Gateway."""


class AnySubmissionError(RootModel[InvalidSubmission | SubmissionError | GatewayError]):
    """The body of an error of a submission: from the function, or from API Gateway."""


class ListFormat(RootModel[Literal["json", "csv"]]):
    """The form of a list."""
