"""The body of a submission: which bodies are refused, and with which message."""

import codecs
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import retail_pulse
from retail_pulse.api import submit_body
from retail_pulse.api.submit_body import MAX_BRACKETS, MAX_PROBLEMS, SubmissionLimits, parse_submission
from retail_pulse.domain.errors import BodyTooLargeError, InvalidRequestError, InvalidSubmissionError
from retail_pulse.domain.visits import Visit

LIMITS = SubmissionLimits(body_bytes=6 * 1024 * 1024, visits=1000, images=1000)
VISIT = {"store_id": "S00339218", "image_url": ["https://a.example/1.jpg"], "visit_time": "time of store visit"}


def body(count: Any = 1, **changes: Any) -> bytes:
    visit = {name: value for name, value in (VISIT | changes).items() if value is not ...}
    return json.dumps({"count": count, "visits": [visit]}).encode()


def with_count(count: bytes, before: bytes = b"") -> bytes:
    """Return a body with a count, and text before its visits, that `json` would not write."""
    return b'{"count":' + count + b"," + before + b'"visits":[' + json.dumps(VISIT).encode() + b"]}"


def test_the_contracts_words_are_accepted_and_unknown_fields_ignored() -> None:
    expected = Visit("S00339218", "time of store visit", ["https://a.example/1.jpg"])
    assert parse_submission(body(nobody="knows"), LIMITS) == ([expected], {})


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (b"", "body is not JSON"),
        (b"\xff\xfe", "body is not JSON"),
        (b'{"count":1,', "body is not JSON"),
        (b"[" * 10_000, "body is not JSON"),
        (b"[" * 400_000, "body is not JSON: nested too deeply at line 1 column"),
        (with_count(b"1", b'"x":' + b"[" * 100_000), "body is not JSON: nested too deeply at line 1 column"),
        (with_count(b"1", b'"x":' + b'{"y":' * 100_000), "body is not JSON: nested too deeply at line 1 column"),
        (b" " * 6_000_000, "body is not JSON: EOF while parsing a value at line 1 column 6000000"),
        (b"\x00", "body is not JSON: expected value at line 1 column 1"),
        (with_count(b"1") + b"\x00", "body is not JSON: trailing characters at line 1 column"),
        (with_count(b"1") * 2, "body is not JSON: trailing characters at line 1 column"),
        (codecs.BOM_UTF8 + with_count(b"1"), "body must not begin with a byte order mark"),
        (with_count(b"1").decode().encode("utf-16"), "body is not JSON"),
        (with_count(b"1", b'"\xff":1,'), "body is not JSON: invalid UTF-8 at line 1 column 14"),
        (body(store_id="\ud800"), "body is not JSON: lone surrogate at line 1 column"),
        (body(store_id="\udc00\ud800"), "body is not JSON: lone surrogate at line 1 column"),
        (body(store_id="\ud800x"), "body is not JSON: lone surrogate at line 1 column"),
        (body(image_url=["\ud800"]), "body is not JSON: lone surrogate at line 1 column"),
        (with_count(b"1", b'"x":"\xed\xa0\x80",'), "body is not JSON: invalid UTF-8 at line 1 column"),
        (with_count(b"1", b'"x":"\n",'), "body is not JSON: control character"),
        (b"null", "body must be an object"),
        (b"0", "body must be an object"),
        (b'"count"', "body must be an object"),
        (b"[]", "body must be an object"),
        (b"{}", "count is missing"),
        (b'{"count":0,"visits":[]}', "visits must not be empty"),
        (b'{"count":1}', "visits is missing"),
        (b'{"count":1,"visits":{}}', "visits must be a list"),
        (b'{"count":1,"visits":[7]}', r"visits\[0\] must be an object"),
        (body(count=2), "count is 2; the number of visits is 1"),
        (body(count="1"), "count must be an integer"),
        (body(count=True), "count must be an integer"),
        (body(count=1.5), "count must be an integer"),
        (body(count=None), "count must be an integer"),
        (body(count=1.0), "count must be an integer"),
        (body(count=-1), "count must not be negative"),
        (body(count=2**63), r"count must be less than 2\^53"),
        (body(count=10**4000), r"count must be less than 2\^53"),
        (with_count(b"1" * 100_000), "body is not JSON: number out of range at line 1 column"),
        (with_count(b"1e999"), "count must be an integer"),
        (with_count(b"NaN"), "count must be an integer"),
        (with_count(b"-Infinity"), "count must be an integer"),
        (with_count(b"1", b'"x":NaN,'), "body is not JSON: expected value at line 1 column 16"),
        (with_count(b"1", b'"x":[-Infinity],'), "body is not JSON: invalid number at line 1 column"),
        (with_count(b"01"), "body is not JSON: invalid number at line 1 column"),
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
        parse_submission(sent, LIMITS)


def test_texts_of_just_the_allowed_length_are_accepted() -> None:
    parse_submission(body(store_id="ä" * 32, visit_time="x" * 128, image_url=["u" * 2048]), LIMITS)


def test_the_last_of_two_fields_with_one_name_counts() -> None:
    assert len(parse_submission(with_count(b"7", b'"count":1,'), LIMITS).visits) == 1


@pytest.mark.parametrize("word", ["NaN", "-Infinity"])
def test_words_that_look_like_numbers_stay_words(word: str) -> None:
    (visit,) = parse_submission(body(visit_time=word, x=1e300), LIMITS).visits
    assert visit.visit_time == word


def test_nul_and_every_other_character_is_accepted_as_it_is() -> None:
    text = "\x00\x7f\u2028\ufeff\uffff\U0001f600"
    (visit,) = parse_submission(body(store_id=text, visit_time=text, image_url=[text]), LIMITS).visits
    assert (visit.store_id, visit.visit_time, list(visit.image_urls)) == (text, text, [text])


def test_a_body_of_just_the_allowed_length_is_accepted_and_one_byte_more_is_not() -> None:
    sent = body()
    parse_submission(sent, SubmissionLimits(len(sent), 1, 1))
    with pytest.raises(BodyTooLargeError, match=f"^body is {len(sent)} bytes; the limit is {len(sent) - 1}$"):
        parse_submission(sent, SubmissionLimits(len(sent) - 1, 1, 1))


@pytest.mark.parametrize("brackets", ["[]", "{}", "[{"])
def test_a_body_with_more_brackets_than_fit_into_memory_is_refused(brackets: str) -> None:
    sent = with_count(b"1", b'"x":"' + brackets.encode() * MAX_BRACKETS + b'",')
    error = f"^body has [0-9,]+ opening brackets; the limit is {MAX_BRACKETS:,}$"
    with pytest.raises(InvalidRequestError, match=error):
        parse_submission(sent, LIMITS)


# The kernel's peak of this program; getrusage would include pytest, which forked it.
PEAK = """
import re, resource, sys
from pathlib import Path
from retail_pulse.api.submit_body import MAX_BRACKETS, SubmissionLimits, parse_submission
from retail_pulse.domain.errors import InvalidSubmissionError
def peak():
    if sys.platform == "darwin":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return int(re.search(r"VmHWM:\\s+([0-9]+)", Path("/proc/self/status").read_text())[1])
before = peak()
piece, limits = sys.argv[1].encode(), SubmissionLimits(6 * 1024 * 1024, 1, 1)
brackets = piece.count(b"[") + piece.count(b"{")
pieces = piece * ((MAX_BRACKETS - 5) // brackets if brackets else limits.body_bytes // len(piece) - 50)
try:
    parse_submission(sys.argv[2].encode() + pieces + sys.argv[3].encode(), limits)
except InvalidSubmissionError as error:
    assert error.problems
    print("refused")
print((peak() - before) // 1024)
"""


def peak_of(*words: str) -> list[str]:
    environment = os.environ | {"PYTHONPATH": str(Path(retail_pulse.__file__).parents[1])}
    ran = subprocess.run(
        [sys.executable, "-c", PEAK, *words], env=environment, capture_output=True, text=True, check=True
    )
    return ran.stdout.split()


@pytest.mark.parametrize(
    "piece", ["[" * 150 + "]" * 150 + ",", '{"":' * 150 + "0" + "}" * 150 + ",", "[0],", '{"":0},']
)
def test_the_worst_accepted_body_leaves_most_of_the_functions_memory_free(piece: str) -> None:
    # "NaN" in a string causes a second parse.
    rest = '0],"visits":[' + json.dumps(VISIT).replace("time of", "NaN") + "]}"
    (megabytes,) = peak_of(piece, '{"count":1,"x":[', rest)
    # Of 1,024 MB, with 150 for the function itself.
    assert 20 < int(megabytes) < 400


def test_a_job_of_just_the_allowed_size_is_accepted_and_one_visit_or_image_more_is_not() -> None:
    sent = json.dumps({"count": 2, "visits": [VISIT, VISIT | {"image_url": ["a", "b"]}]}).encode()
    parse_submission(sent, SubmissionLimits(1000, 2, 3))
    with pytest.raises(InvalidRequestError, match="visits has 2 visits; the limit is 1"):
        parse_submission(sent, SubmissionLimits(1000, 1, 3))
    with pytest.raises(InvalidRequestError, match="visits has 3 images in total; the limit is 2"):
        parse_submission(sent, SubmissionLimits(1000, 2, 2))


@given(st.binary(max_size=200) | st.text().map(str.encode))
def test_no_body_raises_any_other_error(sent: bytes) -> None:
    with pytest.raises(InvalidRequestError):
        parse_submission(sent, LIMITS)


def problems_of(sent: bytes, limits: SubmissionLimits = LIMITS) -> list[str]:
    with pytest.raises(InvalidSubmissionError) as caught:
        parse_submission(sent, limits)
    problems = [f"{problem.place} {problem.rule}" for problem in caught.value.problems]
    assert str(caught.value) == problems[0]
    return problems


def test_all_problems_of_a_body_are_named_in_its_order() -> None:
    visits = [
        VISIT,
        {"image_url": ["", "u", 7], "visit_time": "x" * 129},
        7,
        VISIT | {"image_url": "u"},
        VISIT | {"store_id": "", "visit_time": None},
    ]
    assert problems_of(json.dumps({"count": 2, "visits": visits}).encode(), SubmissionLimits(10_000, 4, 3)) == [
        "visits[1].store_id is missing",
        "visits[1].image_url[0] must not be empty",
        "visits[1].image_url[2] must be a string",
        "visits[1].visit_time is longer than 128 bytes",
        "visits[2] must be an object",
        "visits[3].image_url must be a list",
        "visits[4].store_id must not be empty",
        "visits[4].visit_time must be a string",
        "count is 2; the number of visits is 5",
        "visits has 5 visits; the limit is 4",
        "visits has 5 images in total; the limit is 3",
    ]


def test_problems_of_count_and_visits_are_named_together() -> None:
    assert problems_of(b"{}") == ["count is missing", "visits is missing"]
    assert problems_of(b'{"count":true,"visits":[]}') == ["count must be an integer", "visits must not be empty"]
    assert problems_of(b'{"count":"1","visits":[{}]}') == [
        "count must be an integer",
        "visits[0].store_id is missing",
        "visits[0].image_url is missing",
        "visits[0].visit_time is missing",
    ]
    broken = SubmissionLimits(1000, 1, 1)
    assert problems_of(json.dumps({"count": 3, "visits": [VISIT, VISIT]}).encode(), broken) == [
        "count is 3; the number of visits is 2",
        "visits has 2 visits; the limit is 1",
        "visits has 2 images in total; the limit is 1",
    ]


def test_a_store_id_with_blanks_around_it_and_a_time_that_is_no_date_are_accepted() -> None:
    (visit,) = parse_submission(body(store_id=" S00339218\t", visit_time="whenever"), LIMITS).visits
    assert (visit.store_id, visit.visit_time) == (" S00339218\t", "whenever")


@pytest.mark.parametrize(
    ("visits", "first"),
    [
        ("[" + "0," * 3_000_000 + "0]", "visits[0] must be an object"),
        ("[" + "{}," * 400_000 + "{}]", "visits[0].store_id is missing"),
        ('[{"image_url":[' + '"",' * 2_000_000 + '""]}]', "visits[0].store_id is missing"),
    ],
)
def test_a_body_with_millions_of_problems_names_a_hundred_and_checks_no_more(
    visits: str, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = 0

    def count(check: Callable[[Any], object], sent: Any) -> Any:
        nonlocal checked
        checked += 1
        return errors(check, sent)

    errors = submit_body._errors
    monkeypatch.setattr(submit_body, "_errors", count)
    problems = problems_of(f'{{"count":1,"visits":{visits}}}'.encode())
    assert (problems[0], len(problems)) == (first, MAX_PROBLEMS)
    assert checked <= 1 + 1 + MAX_PROBLEMS


@pytest.mark.parametrize("before", ['{"count":1,"visits":[', '{"count":1,"visits":7,"metadata":{"a":['])
@pytest.mark.parametrize("piece", ["[" * 150 + "]" * 150 + ",", '{"":0},', "0,", '"",'])
def test_the_worst_refused_body_leaves_most_of_the_functions_memory_free(piece: str, before: str) -> None:
    refused, megabytes = peak_of(piece, before, "0]}}" if "metadata" in before else "0]}")
    assert (refused, 5 < int(megabytes) < 400) == ("refused", True)


def with_metadata(metadata: Any) -> bytes:
    return json.dumps({"count": 1, "visits": [VISIT], "metadata": metadata}).encode()


@pytest.mark.parametrize(
    "metadata", [{}, {"a": ""}, {"ä" * 32: "ä" * 256, "\x00": "\x00"}, dict.fromkeys("abcdefghijklmnop", "x")]
)
def test_metadata_within_the_limits_is_accepted_as_it_is(metadata: dict[str, str]) -> None:
    assert parse_submission(with_metadata(metadata), LIMITS).metadata == metadata


@pytest.mark.parametrize(
    ("metadata", "problems"),
    [
        (None, ["metadata must be an object"]),
        ([], ["metadata must be an object"]),
        ({"a": 1, "b": None}, ['metadata["a"] must be a string', 'metadata["b"] must be a string']),
        ({"a\n": "ä" * 257}, ['metadata["a?"] is longer than 512 bytes']),
        ({"": "x"}, ['metadata key "" must not be empty']),
        ({"x" * 65: "y"}, [f'metadata key "{"x" * 64}" is longer than 64 bytes']),
        (dict.fromkeys("abcdefghijklmnopq", 7), ["metadata has 17 pairs; the limit is 16"]),
        (dict.fromkeys(map(str, range(100_000)), 7), ["metadata has 100,000 pairs; the limit is 16"]),
    ],
)
def test_metadata_that_breaks_a_rule_is_refused_with_the_place_and_the_rule(metadata: Any, problems: list[str]) -> None:
    assert problems_of(with_metadata(metadata)) == problems
