"""The body of a submission: its model, its limits, and its validation.

Only submit imports this module, since pydantic slows down a cold start.
"""

import codecs
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, FailFast, Field, StringConstraints, ValidationError
from pydantic_core import PydanticCustomError, from_json

from retail_pulse.domain.errors import BodyTooLargeError, InvalidRequestError
from retail_pulse.domain.text import printable
from retail_pulse.domain.urls import MAX_URL_BYTES
from retail_pulse.domain.visits import Visit

STORE_ID_BYTES = 64
VISIT_TIME_BYTES = 128
# A list or object takes up to 600 bytes of memory, also within an ignored field: 6 MB of nested lists took 900 MB.
# A body that is full of visits has half as many brackets.
MAX_BRACKETS = 500_000


def _text(limit: int, description: str, *examples: str) -> tuple[object, ...]:
    """Return the rules of a text that is not empty and has at most so many bytes, and how it is described."""

    def check(text: str) -> str:
        # A character has at most four bytes, so most texts need not be encoded.
        if len(text) * 4 > limit and len(text.encode()) > limit:
            raise PydanticCustomError("too_many_bytes", "is longer than {limit} bytes", {"limit": limit})
        return text

    # JSON Schema counts characters, and a text never has more characters than bytes.
    described = Field(description=description, examples=list(examples) or None, json_schema_extra={"maxLength": limit})
    return StringConstraints(min_length=1), AfterValidator(check), described


class SubmittedVisit(BaseModel):
    """One store visited at one time, with its images."""

    model_config = ConfigDict(strict=True, extra="ignore", title="Visit")

    store_id: Annotated[str, *_text(STORE_ID_BYTES, "At most 64 bytes of UTF-8.", "S00339218")]
    image_url: Annotated[
        list[Annotated[str, *_text(MAX_URL_BYTES, "An http or https URL, at most 2,048 bytes of UTF-8.")]],
        FailFast(),
        Field(min_length=1, examples=[["https://www.gstatic.com/webp/gallery/2.jpg"]]),
    ]
    visit_time: Annotated[
        str,
        *_text(
            VISIT_TIME_BYTES,
            "Any text of at most 128 bytes. ISO 8601 and RFC 3339 times appear in dated reports.",
            "2026-11-23T10:00:00Z",
        ),
    ]


class SubmitBody(BaseModel):
    """A job: visits to stores."""

    model_config = ConfigDict(strict=True, extra="ignore", title="Submission")

    count: Annotated[int, Field(ge=0, lt=2**53, description="The number of visits.", examples=[1])]
    visits: Annotated[list[SubmittedVisit], FailFast(), Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class SubmissionLimits:
    """Maximum size of a submission: bytes of the body, visits and images."""

    body_bytes: int
    visits: int
    images: int


def parse_submission(body: bytes, limits: SubmissionLimits) -> list[Visit]:
    """Validate the body of a submission.

    Parameters
    ----------
    body
        JSON in UTF-8. The last of several fields with the same name counts; unknown fields are ignored.
    limits
        Maximum size.

    Returns
    -------
    list of Visit
        At least one, each with at least one image.

    Raises
    ------
    BodyTooLargeError
        The body is too long.
    InvalidRequestError
        The body breaks a rule; the text names the place and the rule.
    """
    if len(body) > limits.body_bytes:
        raise BodyTooLargeError(f"body is {len(body):,} bytes; the limit is {limits.body_bytes:,}")
    if body.startswith(codecs.BOM_UTF8):
        raise InvalidRequestError("body must not begin with a byte order mark (RFC 8259, section 8.1)")
    brackets = body.count(b"[") + body.count(b"{")
    if brackets > MAX_BRACKETS:
        raise InvalidRequestError(f"body has {brackets:,} opening brackets; the limit is {MAX_BRACKETS:,}")
    try:
        submission = SubmitBody.model_validate_json(body)
    except ValidationError as error:
        raise InvalidRequestError(_first_error(error)) from None
    _refuse_nan(body)
    if submission.count != len(submission.visits):
        raise InvalidRequestError(f"count is {submission.count:,}; the number of visits is {len(submission.visits):,}")
    if len(submission.visits) > limits.visits:
        raise InvalidRequestError(f"visits has {len(submission.visits):,} visits; the limit is {limits.visits:,}")
    images = sum(len(visit.image_url) for visit in submission.visits)
    if images > limits.images:
        raise InvalidRequestError(f"visits has {images:,} images in total; the limit is {limits.images:,}")
    return [Visit(visit.store_id, visit.visit_time, visit.image_url) for visit in submission.visits]


# The types of pydantic's errors that a body can cause, in the contract's words:
# https://docs.pydantic.dev/latest/errors/validation_errors/
_RULES = {
    "missing": "is missing",
    "string_type": "must be a string",
    "list_type": "must be a list",
    "int_type": "must be an integer",
    "model_type": "must be an object",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
    "greater_than_equal": "must not be negative",
    "less_than": "must be less than 2^53",
}
# The JSON parser's messages that need a clearer one.
_JSON_RULES = {
    "unexpected end of hex escape": "lone surrogate",
    "lone leading surrogate in hex escape": "lone surrogate",
    "invalid unicode code point": "invalid UTF-8",
    "recursion limit exceeded": "nested too deeply",
}


def _refuse_nan(body: bytes) -> None:
    """Refuse NaN and Infinity, which JSON does not have: pydantic accepts them, also within ignored fields."""
    if b"NaN" not in body and b"Infinity" not in body:
        return
    try:
        from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidRequestError(_json_error(str(error))) from None


def _json_error(text: str) -> str:
    rule, at, place = text.partition(" at line ")
    return f"body is not JSON: {printable(_JSON_RULES.get(rule, rule))}{at}{place}"


def _first_error(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return _json_error(str(first["ctx"]["error"]))
    place = ""
    for step in first["loc"]:
        place += f"[{step}]" if isinstance(step, int) else f".{step}" if place else step
    return f"{place or 'body'} {_RULES.get(first['type'], first['msg'])}"
