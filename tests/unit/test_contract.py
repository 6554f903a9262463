"""The body of a submission: what is refused, and with which words."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_pulse.contract import parse_submission
from retail_pulse.errors import InvalidRequestError

VISIT = {"store_id": "S00339218", "image_url": ["https://a.example/1.jpg"], "visit_time": "time of store visit"}


def body(count: Any = 1, **changes: Any) -> bytes:
    visit = {name: value for name, value in (VISIT | changes).items() if value is not ...}
    return json.dumps({"count": count, "visits": [visit]}).encode()


def test_the_contracts_words_are_accepted_and_unknown_fields_ignored() -> None:
    (visit,) = parse_submission(body(nobody="knows"))
    assert (visit.store_id, visit.visit_time, visit.image_urls) == tuple(
        VISIT[name] for name in ("store_id", "visit_time", "image_url")
    )


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (b"", "body is not JSON"),
        (b"\xff\xfe", "body is not JSON"),
        (b'{"count":1,', "body is not JSON"),
        (b"[" * 10_000, "body is not JSON"),
        (b"[]", "body must be an object"),
        (b"{}", "count is missing"),
        (b'{"count":0,"visits":[]}', "visits must not be empty"),
        (b'{"count":1}', "visits is missing"),
        (b'{"count":1,"visits":{}}', "visits must be a list"),
        (b'{"count":1,"visits":[7]}', r"visits\[0\] must be an object"),
        (body(count=2), "count is 2, but there are 1 visits"),
        (body(count="1"), "count must be an integer"),
        (body(count=True), "count must be an integer"),
        (body(count=1.5), "count must be an integer"),
        (body(count=None), "count must be an integer"),
        (body(store_id=...), r"visits\[0\].store_id is missing"),
        (body(store_id=""), r"visits\[0\].store_id must not be empty"),
        (body(store_id=7), r"visits\[0\].store_id must be a string"),
        (body(store_id="ä" * 33), r"visits\[0\].store_id is longer than 64 bytes"),
        (body(visit_time="x" * 129), r"visits\[0\].visit_time is longer than 128 bytes"),
        (body(visit_time=None), r"visits\[0\].visit_time must be a string"),
        (body(image_url=[]), r"visits\[0\].image_url must not be empty"),
        (body(image_url="u"), r"visits\[0\].image_url must be a list"),
        (body(image_url=["u", ""]), r"visits\[0\].image_url\[1\] must not be empty"),
        (body(image_url=["u" * 2049]), r"visits\[0\].image_url\[0\] is longer than 2048 bytes"),
    ],
)
def test_a_body_that_breaks_a_rule_is_refused_with_the_place_and_the_rule(sent: bytes, error: str) -> None:
    with pytest.raises(InvalidRequestError, match=f"^{error}"):
        parse_submission(sent)


def test_texts_of_just_the_allowed_length_are_accepted() -> None:
    parse_submission(body(store_id="ä" * 32, visit_time="x" * 128, image_url=["u" * 2048]))


@given(st.binary(max_size=200) | st.text().map(str.encode))
def test_no_body_raises_anything_else(sent: bytes) -> None:
    with pytest.raises(InvalidRequestError):
        parse_submission(sent)
