"""make stores: all problems of a store master with their lines, or what it has."""

from pathlib import Path

import pytest

from tools import stores

HEADER = "AreaCode,StoreName,StoreID\n"


def test_the_committed_file_has_no_problem(capsys: pytest.CaptureFixture[str]) -> None:
    assert stores.main([]) == 0
    first, *warnings = capsys.readouterr().out.splitlines()
    assert first.startswith("store_master.csv: 5000 stores in ")
    assert warnings == []


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        (
            HEADER + "7,One\n7,Two,S1\n8,Three,S1\n",
            ["line 2: row has 2 fields; the header has 3", "line 4: StoreID S1 is already on line 3"],
        ),
        (
            "AreaCode;StoreName;StoreID\n",
            ["line 1: column StoreID is missing; the columns are separated by semicolons: save the file with commas"],
        ),
    ],
    ids=["two rows", "semicolons"],
)
def test_each_problem_is_printed_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, printed: list[str]
) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(text, encoding="utf-8")
    assert stores.main([str(path)]) == 1
    output = capsys.readouterr()
    assert output.out.splitlines() == [f"mine.csv, {line}" for line in printed]
    assert output.err == f"problems: {len(printed)}\n"


def test_a_file_of_problems_is_not_printed_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(HEADER + "7,One\n" * 120, encoding="utf-8")
    assert stores.main([str(path)]) == 1
    output = capsys.readouterr()
    assert len(output.out.splitlines()) == 50
    assert output.err == "problems: 120, 70 of them not shown\n"


def test_a_file_that_does_not_exist_is_a_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert stores.main([str(tmp_path / "mine.csv")]) == 1
    assert capsys.readouterr().out == "mine.csv cannot be read: No such file or directory\n"


def test_stores_without_a_name_or_an_area_are_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(HEADER + ",One,S1\n7,,S2\n7,,S3\n", encoding="utf-8")
    assert stores.main([str(path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "mine.csv: 3 stores in 2 areas",
        "warning: 2 stores do not have a name",
        "warning: 1 stores do not have an area",
    ]
    path.write_text(HEADER, encoding="utf-8")
    assert stores.main([str(path)]) == 0
    assert "every image fails as unknown_store" in capsys.readouterr().out
