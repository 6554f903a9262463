"""The page of formats names tests that exist."""

import re

from local.checkout import ROOT

_TEST = re.compile(r"`(test_\w+\.py)(?:::(test_\w+))?`")
_ROW = re.compile(r"^\| .+ \|$", re.MULTILINE)
_TABLE_HEAD = "| input | authority | outcome | test |"


def test_every_row_names_a_test_that_exists() -> None:
    page = (ROOT / "docs/formats.md").read_text(encoding="utf-8")
    previous = False
    for row in _ROW.findall(page):
        named = _TEST.findall(row)
        # A row may refer to the one above.
        assert row == _TABLE_HEAD or named or (previous and row.endswith("| the same |")), row
        previous = row != _TABLE_HEAD
        for file, test in named:
            text = (ROOT / "tests/measuring" / file).read_text(encoding="utf-8")
            assert f"def {test}(" in text, (file, test)
