"""Response models, for the OpenAPI description and for tests.

No function imports them: responses are written as plain dicts, and pydantic would slow down every cold start.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from retail_pulse.domain.failures import FailureCode


class Submitted(BaseModel):
    """The job was taken in."""

    job_id: Annotated[int, Field(ge=0, lt=2**53)]


class Error(BaseModel):
    """What was wrong."""

    error: Annotated[str, Field(description="The place and the rule.", examples=["visits[1].store_id is missing"])]


class Empty(BaseModel):
    """Nothing: there is no such job."""

    model_config = ConfigDict(extra="forbid")


class StoreError(BaseModel):
    """A store of which an image could not be measured."""

    store_id: str
    error: Annotated[str, Field(description="What failed, the first failing URL and how many more.")]


class Status(BaseModel):
    """How a job stands; ``error`` is there when it failed, and lists only stores that failed, as many as fit (6 MB)."""

    status: Literal["ongoing", "completed", "failed"]
    job_id: str
    error: list[StoreError] | None = None


class Counts(BaseModel):
    """How many there are, and what became of them."""

    total: int
    measured: int
    failed: int
    pending: int


class JobDetails(BaseModel):
    """A job with its times and counts."""

    job_id: str
    status: Literal["ongoing", "completed", "failed"]
    run: Annotated[int, Field(description="How often the job has been opened, from 1.")]
    created_at: Annotated[str, Field(examples=["2026-11-23T10:00:00.000Z"])]
    ended_at: str | None
    expires_at: str
    visits: Counts
    images: Counts


class Reopened(BaseModel):
    """The job was opened again for its failed images."""

    job_id: str
    status: Literal["ongoing"]
    run: Annotated[int, Field(description="The new run, from 2.")]


class ImageError(BaseModel):
    """Why an image could not be measured."""

    code: FailureCode
    message: str


class Result(BaseModel):
    """One image of a job."""

    visit: Annotated[int, Field(description="Position of the visit in the body, from 0.")]
    image: Annotated[int, Field(description="Position of the image in the visit, from 0.")]
    store_id: str
    store_name: str | None
    area_code: str | None
    visit_time: str
    url: str
    outcome: Literal["pending", "measured", "failed"]
    width: int | None
    height: int | None
    perimeter: Annotated[int | None, Field(description="2 * (height + width), in pixels.")]
    format: Annotated[str | None, Field(examples=["JPEG"])]
    bytes: int | None
    error: ImageError | None


class ResultList(BaseModel):
    """A page of results in the order of the body."""

    results: list[Result]
    next_cursor: Annotated[str | None, Field(description="For the next page; null on the last one.")]


class Health(BaseModel):
    """The service answers."""

    status: Literal["ok"]


class Problem(BaseModel):
    """A problem (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str


class Message(BaseModel):
    """What API Gateway says when it refuses a request by itself."""

    message: Annotated[str, Field(examples=["Unauthorized"])]
