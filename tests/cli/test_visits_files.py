"""The format of a visits file: what is read, and how every kind of damage is reported."""

import codecs
import json
from typing import Any

import pytest

from pulse.csv_file import csv_row, read_csv
from pulse.json_file import is_json, read_json
from pulse.visits import Finding, Visit, VisitsFile

HEADER = "store_id,visit_time,image_url"
TIME = "2026-11-23T10:00:00Z"
URL = "http://example.com/a.jpg"
GOOD = f"S1,{TIME},{URL}"


def read(*rows: str, end: str = "\n") -> VisitsFile:
    return read_csv(end.join([*rows, ""]).encode())


def places(found: list[Finding]) -> list[tuple[int | None, str]]:
    return [(finding.row, finding.column) for finding in found]


class TestGoodFiles:
    @pytest.mark.parametrize(
        "content",
        [
            f"{HEADER}\n{GOOD}\n",
            f"{HEADER}\n{GOOD}",
            f"{HEADER}\r\n{GOOD}\r\n",
            f"{HEADER}\r{GOOD}\r",
            f"\ufeff{HEADER}\n{GOOD}\n",
            f"Image_URL,Comment,STORE_ID, Visit_Time \n{URL},hello,S1,{TIME}\n",
            f'"store_id","visit_time","image_url"\n"S1","{TIME}","{URL}"\n',
            f"store_id;visit_time;image_url;a,b\nS1;{TIME};{URL};1,5\n",
            f'"store_id";"visit_time";"image_url"\nS1;{TIME};{URL}\n',
            f"\n\n{HEADER}\n\n{GOOD}\n,,\n\n",
            f"{HEADER}\nS1,{TIME},{URL},,\n",
            f"{HEADER},,\n{GOOD},,\n",
        ],
    )
    def test_every_way_to_save_it_is_read_alike(self, content: str) -> None:
        found = read_csv(content.encode())
        assert found == VisitsFile([Visit("S1", TIME, [URL])])

    def test_rows_of_one_store_and_time_make_a_visit_in_order_of_first_appearance(self) -> None:
        found = read(
            HEADER,
            "B,2026-11-23,http://h/1",
            "A,2026-11-23,http://h/2",
            "B,2026-11-23,http://h/3",
            "B,2026-11-24,http://h/4",
        )
        assert [tuple(visit) for visit in found.visits] == [
            ("B", "2026-11-23", ["http://h/1", "http://h/3"]),
            ("A", "2026-11-23", ["http://h/2"]),
            ("B", "2026-11-24", ["http://h/4"]),
        ]
        assert found.images == 4

    def test_a_quoted_cell_may_have_separators_quotes_and_letters_of_any_script(self) -> None:
        found = read(HEADER, f'"Łódź ""1"", Süd",{TIME},"http://h/a,b.jpg?x=""1"""')
        assert found.visits == [Visit('Łódź "1", Süd', TIME, ['http://h/a,b.jpg?x="1"'])]

    def test_a_cell_with_line_breaks_counts_as_one_row_as_in_a_spreadsheet(self) -> None:
        found = read(f"{HEADER},comment", f'{GOOD},"two\nlines\nor three"', f"S1,{TIME},www.example.com")
        assert places(found.problems) == [(3, "image_url")]

    def test_blanks_are_removed_with_a_warning(self) -> None:
        found = read(HEADER, f" S1,{TIME} ,{URL}", GOOD)
        assert found.visits == [Visit("S1", TIME, [URL, URL])]
        assert places(found.warnings) == [(2, "store_id"), (2, "visit_time")]

    @pytest.mark.parametrize("time", ["time of store visit", "23.11.2026", "11/23/2026", "2026-13-01", "10:00"])
    def test_a_time_that_is_not_a_date_is_only_a_warning(self, time: str) -> None:
        found = read(HEADER, f"S1,{time},{URL}")
        assert (len(found.visits), found.problems, places(found.warnings)) == (1, [], [(2, "visit_time")])

    @pytest.mark.parametrize("time", ["2026-11-23", TIME, "2026-11-23 10:00:00", "2026-11-23t10:00:00z", "20261123"])
    def test_a_date_is_no_warning(self, time: str) -> None:
        assert read(HEADER, f"S1,{time},{URL}").warnings == []


class TestDamage:
    @pytest.mark.parametrize(
        ("row", "column", "problem"),
        [
            (f",{TIME},{URL}", "store_id", "is missing"),
            (f"S1,,{URL}", "visit_time", "is missing"),
            (f"S1,{TIME},", "image_url", "is missing"),
            (f"S1,{TIME}", "image_url", "is missing"),
            (f"S1,{TIME},www.example.com/a.jpg", "image_url", "is not a web address"),
            (f"S1,{TIME},ftp://example.com/a.jpg", "image_url", "is not a web address"),
            (f"S1,{TIME},http://", "image_url", "is not a web address"),
            (f"{'S' * 65},{TIME},{URL}", "store_id", "is longer than 64 bytes"),
            (f"{'ü' * 33},{TIME},{URL}", "store_id", "is longer than 64 bytes (it has 66)"),
            (f"S1,{'2' * 129},{URL}", "visit_time", "is longer than 128 bytes"),
            (f"S1,{TIME},http://h/{'a' * 2040}", "image_url", "is longer than 2,048 bytes"),
            (f'"S1\nS2",{TIME},{URL}', "store_id", "contains a line break"),
            (f"S\x071,{TIME},{URL}", "store_id", "contains a line break or a control character"),
            (f"S1,{TIME},http://h/a,b.jpg", "", "has 4 cells for 3 columns"),
            (f'"S1" x,{TIME},{URL}', "", "has a quote"),
        ],
    )
    def test_a_bad_row_is_named_with_what_to_do_and_the_others_are_read(
        self, row: str, column: str, problem: str
    ) -> None:
        found = read(HEADER, GOOD, row, GOOD)
        (finding,) = found.problems
        assert (finding.row, finding.column) == (3, column)
        assert finding.problem.startswith(problem)
        assert finding.fix
        assert found.visits == [Visit("S1", TIME, [URL, URL])]

    def test_a_row_with_several_problems_has_all_of_them(self) -> None:
        assert places(read(HEADER, ",,x").problems) == [(2, "store_id"), (2, "visit_time"), (2, "image_url")]

    def test_a_quote_that_is_not_closed_hides_neither_the_rows_after_it_nor_their_numbers(self) -> None:
        bad = f'S1,{TIME},"{URL}'
        found = read(HEADER, GOOD, bad, GOOD, ",,x", f'"S1",{TIME},{URL}', bad, GOOD, f",{TIME},{URL}")
        rows = [(3, ""), *((5, column) for column in HEADER.split(",")), (7, ""), (9, "store_id")]
        assert sorted(places(found.problems), key=lambda place: place[0] or 0) == rows
        assert found.images == 4

    def test_a_very_long_cell_is_reported_by_the_rule_of_its_column(self) -> None:
        found = read(f"{HEADER},note", f"{'S' * 200_000},{TIME},{URL},", f"{GOOD},{'long ' * 100_000}")
        assert [(each.row, each.column) for each in found.problems] == [(2, "store_id")]
        assert found.images == 1

    @pytest.mark.parametrize(
        ("header", "found_at"),
        [
            ("store_id,visit_time", [(1, "image_url")]),
            ("a,b,c", [(1, "store_id"), (1, "visit_time"), (1, "image_url")]),
            ("store_id\tvisit_time\timage_url", [(1, "store_id"), (1, "visit_time"), (1, "image_url")]),
            (f"{HEADER},Store_ID", [(1, "store_id")]),
            (f'"{HEADER}', [(1, "")]),
        ],
    )
    def test_a_header_without_the_columns_is_reported_once_and_no_row_is_read(
        self, header: str, found_at: list[tuple[int, str]]
    ) -> None:
        found = read(header, GOOD, GOOD)
        assert (places(found.problems), found.visits) == (found_at, [])

    def test_tabs_between_the_columns_are_named(self) -> None:
        found = read(HEADER.replace(",", "\t"), GOOD.replace(",", "\t"))
        assert {each.fix for each in found.problems} == {"separate the columns by , or ; in place of tabs"}

    @pytest.mark.parametrize(
        ("content", "row", "problem"),
        [
            (b"", None, "the file is empty"),
            (b"\n \r\n", None, "the file is empty"),
            (codecs.BOM_UTF8, None, "the file is empty"),
            (HEADER.encode(), None, "the file has no rows"),
            (b"PK\x03\x04rest of a workbook", None, "the file is an Excel workbook"),
            (f"{HEADER}\n{GOOD}".encode("utf-16"), None, "the file is not UTF-8 text"),
            (f"{HEADER}\n{GOOD}\nM\u00fcller,x,y\n".encode("latin-1"), 3, "the file is not UTF-8 text"),
        ],
    )
    def test_a_file_that_is_no_csv_at_all_is_reported_with_what_to_do(
        self, content: bytes, row: int | None, problem: str
    ) -> None:
        (finding,) = read_csv(content).problems
        assert finding.row == row
        assert finding.problem.startswith(problem)
        assert finding.fix

    def test_a_text_of_the_file_cannot_steer_the_terminal(self) -> None:
        (finding,) = read(HEADER, f"S1,{TIME},\u202e\u200bwww.example.com").problems
        assert finding.problem.isprintable()


class TestJsonFiles:
    def body(self, **changes: Any) -> bytes:
        visits = [{"store_id": "S1", "visit_time": TIME, "image_url": [URL]}]
        return json.dumps({"count": 1, "visits": visits} | changes).encode()

    def test_a_body_of_the_api_is_read(self) -> None:
        content = self.body(metadata={"campaign": "autumn"})
        assert is_json(content)
        assert is_json(codecs.BOM_UTF8 + b"\n " + content)
        assert not is_json(f"{HEADER}\n".encode())
        assert read_json(content) == VisitsFile([Visit("S1", TIME, [URL])], {"campaign": "autumn"})

    @pytest.mark.parametrize(
        ("changes", "place"),
        [
            ({"visits": []}, "visits"),
            ({"visits": "x"}, "visits"),
            ({"count": 2}, "count"),
            ({"visits": ["x"]}, "visits[0]"),
            ({"visits": [{"visit_time": TIME, "image_url": [URL]}]}, "visits[0].store_id"),
            ({"visits": [{"store_id": 7, "visit_time": TIME, "image_url": [URL]}]}, "visits[0].store_id"),
            ({"visits": [{"store_id": "\ud800", "visit_time": TIME, "image_url": [URL]}]}, "visits[0].store_id"),
            ({"visits": [{"store_id": "S", "visit_time": TIME}]}, "visits[0].image_url"),
            ({"visits": [{"store_id": "S", "visit_time": TIME, "image_url": [URL, "x"]}]}, "visits[0].image_url[1]"),
            ({"metadata": {"a": 1}}, "metadata"),
            ({"metadata": dict.fromkeys(map(str, range(17)), "")}, "metadata"),
            ({"metadata": {"a": "x" * 513}}, "metadata"),
        ],
    )
    def test_a_problem_has_its_place_as_the_api_names_it(self, changes: dict[str, Any], place: str) -> None:
        assert (None, place) in places(read_json(self.body(**changes)).problems)

    @pytest.mark.parametrize("content", [b"{", b"[]", b"{}", b'{"visits": \xff}', b'{"visits":' + b"[" * 100_000])
    def test_what_is_not_a_body_is_one_problem(self, content: bytes) -> None:
        found = read_json(content)
        assert (len(found.problems), found.visits) == (1, [])


@pytest.mark.parametrize("text", ["S1", "=1+1", "+49", "-x", "@a", 'a "b", c', "Łódź"])
def test_what_is_written_is_read_back_and_is_no_formula(text: str) -> None:
    line = csv_row([text, TIME, URL])
    assert not line.strip('"').startswith(("=", "+", "-", "@"))
    assert read_csv(f"{HEADER}\r\n{line}".encode()).visits == [Visit(text, TIME, [URL])]
