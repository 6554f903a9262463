"""The body of a submission: its model, its limits, and its validation.

Only submit imports this module, since pydantic slows down a cold start.
"""

import codecs
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, groupby, islice
from typing import Annotated, Any, NamedTuple

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import ErrorDetails, PydanticCustomError, from_json
from typing_extensions import TypedDict

from retail_pulse.domain.errors import BodyTooLargeError, InvalidSubmissionError, Problem
from retail_pulse.domain.text import printable
from retail_pulse.domain.urls import MAX_URL_BYTES
from retail_pulse.domain.visits import Visit

STORE_ID_BYTES = 64
VISIT_TIME_BYTES = 128
METADATA_PAIRS = 16
METADATA_KEY_BYTES = 64
METADATA_VALUE_BYTES = 512
# A list or object takes up to 600 bytes of memory, also within an ignored field: 6 MB of nested lists took 900 MB.
# A body that is full of visits has half as many brackets.
MAX_BRACKETS = 500_000
MAX_COUNT = 2**53
# Found in half the time that `in` takes: 2 ms of a body of 5 MB.
_NOT_NUMBERS = re.compile(rb"NaN"), re.compile(rb"Infinity")
# How many problems a refusal names.
MAX_PROBLEMS = 100


def _text(limit: int, description: str | None, *examples: str, min_length: int = 1) -> tuple[object, ...]:
    """Return the rules of a text that has at most so many bytes, by default not zero, and how it is described."""

    def check(text: str) -> str:
        # A character has at most four bytes, so most texts need not be encoded.
        if len(text) * 4 > limit and len(text.encode()) > limit:
            raise PydanticCustomError("too_many_bytes", "is longer than {limit} bytes", {"limit": limit})
        return text

    # JSON Schema counts characters, and a text never has more characters than bytes.
    described = Field(description=description, examples=list(examples) or None, json_schema_extra={"maxLength": limit})
    return StringConstraints(min_length=min_length), AfterValidator(check), described


def _check_pairs(sent: Any) -> Any:
    # Before the pairs are checked, so that there are few problems.
    if isinstance(sent, dict) and len(sent) > METADATA_PAIRS:
        numbers = {"pairs": f"{len(sent):,}", "limit": METADATA_PAIRS}
        raise PydanticCustomError("too_many_pairs", "has {pairs} pairs; the limit is {limit}", numbers)
    return sent


_ImageUrl = Annotated[str, *_text(MAX_URL_BYTES, "An http or https URL, at most 2,048 bytes of UTF-8.")]


# A dict is made in two thirds of the time of a model, and a large body has 12,500 visits.
class SubmittedVisit(TypedDict):
    """One store visited at one time, with its images."""

    __pydantic_config__ = ConfigDict(strict=True, extra="ignore")  # type: ignore[misc]

    store_id: Annotated[str, *_text(STORE_ID_BYTES, "At most 64 bytes of UTF-8.", "S00339218")]
    image_url: Annotated[
        list[_ImageUrl],
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

    model_config = ConfigDict(strict=True, extra="ignore")

    count: Annotated[int, Field(ge=0, lt=MAX_COUNT, description="The number of visits.", examples=[1])]
    visits: Annotated[list[SubmittedVisit], FailFast(), Field(min_length=1)]
    metadata: Annotated[
        dict[
            Annotated[str, *_text(METADATA_KEY_BYTES, None)],
            Annotated[str, *_text(METADATA_VALUE_BYTES, None, min_length=0)],
        ],
        BeforeValidator(_check_pairs),
        Field(
            default_factory=dict,
            description="Your own pairs, returned with the job: at most 16, keys of 64 bytes, values of 512 bytes.",
            examples=[{"campaign": "autumn"}],
            json_schema_extra={"maxProperties": METADATA_PAIRS},
        ),
    ]


@dataclass(frozen=True, slots=True)
class SubmissionLimits:
    """Maximum size of a submission: bytes of the body, visits and images."""

    body_bytes: int
    visits: int
    images: int


class ParsedSubmission(NamedTuple):
    """What a valid body has: at least one visit, each with at least one image, and the client's own pairs."""

    visits: list[Visit]
    metadata: dict[str, str]


def parse_submission(body: bytes, limits: SubmissionLimits) -> ParsedSubmission:
    """Validate the body of a submission.

    Parameters
    ----------
    body
        JSON in UTF-8. The last of several fields with the same name counts; unknown fields are ignored.
    limits
        Maximum size.

    Raises
    ------
    BodyTooLargeError
        The body is too long.
    InvalidSubmissionError
        The body breaks rules; it has the first 100 problems.
    """
    if len(body) > limits.body_bytes:
        raise BodyTooLargeError(f"body is {len(body):,} bytes; the limit is {limits.body_bytes:,}")
    if body.startswith(codecs.BOM_UTF8):
        raise InvalidSubmissionError.at("body", "must not begin with a byte order mark (RFC 8259, section 8.1)")
    brackets = body.count(b"[") + body.count(b"{")
    if brackets > MAX_BRACKETS:
        raise InvalidSubmissionError.at("body", f"has {brackets:,} opening brackets; the limit is {MAX_BRACKETS:,}")
    submission = _submission(body)
    if submission is None:
        # The refused body is parsed again for its other problems; by now the first parse has freed its memory.
        sent = from_json(body)
        problems = chain(_problems_in_body(sent), _problems_of_totals(sent, limits))
        raise InvalidSubmissionError(*islice(problems, MAX_PROBLEMS))
    _refuse_nan(body)
    images = sum(len(visit["image_url"]) for visit in submission.visits)
    beyond = list(_beyond_limits(submission.count, len(submission.visits), images, limits))
    if beyond:
        raise InvalidSubmissionError(*beyond)
    visits = [Visit(visit["store_id"], visit["visit_time"], visit["image_url"]) for visit in submission.visits]
    return ParsedSubmission(visits, submission.metadata)


def _submission(body: bytes) -> SubmitBody | None:
    """Parse a body, up to the first problem of each list; return None when there is one."""
    try:
        return SubmitBody.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            raise _not_json(str(first["ctx"]["error"])) from None
    return None


def _problems_in_body(sent: Any) -> Iterator[Problem]:
    """Yield the problems of a body in its order; a visit is checked only when its turn comes."""
    for field, errors in groupby(_errors(SubmitBody.model_validate, sent), lambda error: error["loc"][:1]):
        first = next(errors)
        if field == ("visits",) and len(first["loc"]) > 1:
            for number, visit in enumerate(sent["visits"]):
                yield from _problems_in_visit(visit, f"visits[{number}]")
        else:
            for error in chain([first], errors):
                yield Problem(_place(error["loc"]), _rule(error))


def _place(loc: tuple[int | str, ...]) -> str:
    match loc:
        case ("metadata", key):
            return f'metadata["{printable(str(key)[:METADATA_KEY_BYTES])}"]'
        case ("metadata", key, "[key]"):
            return f'metadata key "{printable(str(key)[:METADATA_KEY_BYTES])}"'
    return ".".join(map(str, loc)) or "body"


def _problems_in_visit(visit: Any, place: str) -> Iterator[Problem]:
    for error in _errors(_check_visit, visit):
        match error["loc"]:
            case ("image_url", int(first)):
                for number in range(first, len(visit["image_url"])):
                    for of_image in _errors(_check_image_url, visit["image_url"][number]):
                        yield Problem(f"{place}.image_url[{number}]", _rule(of_image))
            case loc:
                yield Problem(".".join([place, *map(str, loc)]), _rule(error))


def _problems_of_totals(sent: Any, limits: SubmissionLimits) -> Iterator[Problem]:
    """Yield the problems of a refused body's totals, as far as it has them."""
    match sent:
        case {"visits": [_, *_] as visits}:
            lists = (visit.get("image_url") for visit in visits if isinstance(visit, dict))
            images = sum(len(urls) for urls in lists if isinstance(urls, list))
            count = sent.get("count")
            is_valid = type(count) is int and 0 <= count < MAX_COUNT
            yield from _beyond_limits(count if is_valid else len(visits), len(visits), images, limits)


def _beyond_limits(count: int, visits: int, images: int, limits: SubmissionLimits) -> Iterator[Problem]:
    if count != visits:
        yield Problem("count", f"is {count:,}; the number of visits is {visits:,}")
    if visits > limits.visits:
        yield Problem("visits", f"has {visits:,} visits; the limit is {limits.visits:,}")
    if images > limits.images:
        yield Problem("visits", f"has {images:,} images in total; the limit is {limits.images:,}")


def _errors(check: Callable[[Any], object], sent: Any) -> list[ErrorDetails]:
    try:
        check(sent)
    except ValidationError as error:
        return error.errors(include_url=False, include_input=False)
    return []


def _rule(error: ErrorDetails) -> str:
    return _RULES.get(error["type"], error["msg"])


_check_visit = TypeAdapter(SubmittedVisit).validate_python
_check_image_url = TypeAdapter(_ImageUrl, config=ConfigDict(strict=True)).validate_python
# The types of pydantic's errors that a body can cause, in the contract's words:
# https://docs.pydantic.dev/latest/errors/validation_errors/
_RULES = {
    "missing": "is missing",
    "string_type": "must be a string",
    "list_type": "must be a list",
    "int_type": "must be an integer",
    "model_type": "must be an object",
    "dict_type": "must be an object",
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
    if not any(number.search(body) for number in _NOT_NUMBERS):
        return
    try:
        from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise _not_json(str(error)) from None


def _not_json(text: str) -> InvalidSubmissionError:
    rule, at, place = text.partition(" at line ")
    return InvalidSubmissionError.at("body", f"is not JSON: {printable(_JSON_RULES.get(rule, rule))}{at}{place}")
