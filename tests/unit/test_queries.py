"""What a request asks for: its parameters, and the form of the response."""

import base64
import csv
import gzip
import io
import random
from typing import Any

import pytest

from retail_pulse.api.csv import csv_text
from retail_pulse.api.negotiation import GZIP_MIN_BYTES, gzipped, prefers_csv
from retail_pulse.api.query import Query
from retail_pulse.domain.errors import InvalidRequestError


def query(raw: str, accept: str = "*/*", *, known: tuple[str, ...] = ("limit", "cursor", "format")) -> Query:
    return Query(raw, "/api/jobs", accept, known)


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        ("Limit=1", "Limit is not a parameter of this route"),
        ("limit=1&x%0A=1", "x? is not a parameter of this route"),
        ("=1", '"" is not a parameter of this route'),
        ("from%20=1", '"from " is not a parameter of this route'),
        ("x" * 41, f"{'x' * 40}… is not a parameter of this route"),
        ("limit=1&limit=1", "limit must not be repeated"),
        ("format=xml", "format must be json or csv"),
        ("format=", "format must be json or csv"),
    ],
)
def test_a_parameter_that_the_route_does_not_read_is_refused(raw: str, error: str) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        query(raw)
    assert str(raised.value) == error


def test_the_next_page_has_the_same_query_with_another_cursor() -> None:
    assert query("limit=2&cursor=0.1&format=csv").next_link("0.3") == "/api/jobs?limit=2&format=csv&cursor=0.3"


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", False), ("*/*", False), ("application/json", False), ("text/csv", True), ("TEXT/CSV;q=0.1", True),
        ("text/csv, */*;q=0.8", True), ("text/csv;q=0", False), ("application/json, text/csv", False),
        ("application/json;q=0.5, text/csv", True), ("text/csv;charset=utf-8", True), ("text/html,*/*;q=0.8", False),
        ("text/csv;q=x", True), (";;,,", False),
    ],
)  # fmt: skip
def test_csv_is_for_whoever_prefers_it(accept: str, wanted: bool) -> None:
    assert prefers_csv(accept) is wanted
    assert query("", accept).wants_csv is wanted
    assert query("format=json", accept).wants_csv is False
    assert query("format=csv", accept).wants_csv is True


def answer(body: str) -> dict[str, Any]:
    return {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": body, "isBase64Encoded": False}


@pytest.mark.parametrize(
    ("accept", "accepted"),
    [
        ("gzip", True), ("br, gzip;q=0.1", True), ("GZIP", True), ("*", True), ("", False), ("br", False),
        ("gzip;q=0", False), ("gzip;q=0.000, *", False), ("x-gzip2", False),
    ],
)  # fmt: skip
def test_a_long_body_is_compressed_for_who_accepts_it(accept: str, accepted: bool) -> None:
    plain = answer("é" * GZIP_MIN_BYTES)
    found = gzipped(plain, accept)
    assert found["isBase64Encoded"] is accepted
    assert found["headers"].get("Content-Encoding") == ("gzip" if accepted else None)
    body = gzip.decompress(base64.b64decode(found["body"])).decode() if accepted else found["body"]
    assert body == plain["body"]


def test_a_short_body_is_not_compressed() -> None:
    assert gzipped(answer("a" * GZIP_MIN_BYTES), "gzip")["isBase64Encoded"] is False
    assert gzipped(answer("a" * (GZIP_MIN_BYTES + 1)), "gzip")["isBase64Encoded"] is True


def test_compression_never_makes_a_body_longer() -> None:
    # Lambda's limit is for the body in Base64, a third longer than the compressed one.
    noise = "".join(map(chr, random.Random(1).choices(range(0x4E00, 0x9FFF), k=5_000)))
    found = gzipped(answer(noise), "gzip")
    assert len(found["body"].encode()) <= len(noise.encode())


TEXTS = ["plain", 'quo"te', "a,b", "two\r\nlines", "é店", "", " =1", "a=1", "\n=1"]


def test_csv_is_what_a_reader_of_csv_reads() -> None:
    text = csv_text(
        ["a", "b.c", "b.d"], [{"a": each, "b": {"c": 1, "d": None}} for each in TEXTS] + [{"a": "x", "b": None}]
    )
    assert text.startswith("a,b_c,b_d\r\nplain,1,\r\n")
    header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    assert header == ["a", "b_c", "b_d"]
    assert rows == [*([each, "1", ""] for each in TEXTS), ["x", "", ""]]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_is_a_formula(start: str) -> None:
    ((_, cell),) = list(csv.reader(io.StringIO(csv_text(["a", "b"], [{"a": 1, "b": f"{start}1+1"}]), newline="")))[1:]
    assert cell == f"'{start}1+1"
