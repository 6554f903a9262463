"""The console reads every file of tests/visits_files as expected.json says; tests/cli does the same with `pulse`."""

import base64
import json
from typing import Any

import pytest

from local.checkout import ROOT
from tests.browser.console import Tab

pytestmark = pytest.mark.browser

FOLDER = ROOT / "tests" / "visits_files"
EXPECTED: dict[str, Any] = json.loads((FOLDER / "expected.json").read_text(encoding="utf-8"))
# In the page, with the module that the page uses.
READ = """async (files) => {
  const { readVisits } = await import(new URL("./visits.js", document.querySelector("script[type=module]").src));
  const places = (list) => list.map(({ row, column }) => [row, column]);
  const read = async (content) => {
    const bytes = Uint8Array.from(atob(content), (character) => character.charCodeAt(0));
    const { visits, problems, warnings } = await readVisits(bytes);
    return {
      visits: visits.map(({ store_id, visit_time, image_url }) => [store_id, visit_time, image_url]),
      problems: places(problems),
      warnings: places(warnings),
    };
  };
  const found = {};
  for (const [name, content] of Object.entries(files)) found[name] = await read(content);
  return found;
}"""
# Counts what the parser reads and how often the page is left to itself, as a time would depend on the machine.
READ_COUNTED = """async (text) => {
  const { readVisits } = await import(new URL("./visits.js", document.querySelector("script[type=module]").src));
  await readVisits("store_id");
  const { Papa, setTimeout } = globalThis;
  let characters = 0;
  let breaks = 0;
  globalThis.setTimeout = (...given) => { breaks += 1; return setTimeout(...given); };
  const { parse } = Papa;
  Papa.parse = (given, options) => { characters += given.length; return parse(given, options); };
  const { visits, problems } = await readVisits(text);
  return { visits: visits.length, rows: problems.map(({ row }) => row), characters, breaks };
}"""


def test_each_file_has_the_expected_visits_problems_and_warnings(tab: Tab) -> None:
    files = {path.name: base64.b64encode(path.read_bytes()).decode() for path in FOLDER.glob("*.*")}
    del files["expected.json"]
    tab.open()

    found = tab.page.evaluate(READ, files)

    assert sorted(found) == sorted(EXPECTED)
    assert {name: found[name] for name in found if found[name] != EXPECTED[name]} == {}


def test_a_wrong_quote_in_each_of_20_000_rows_costs_little_more_than_the_file(tab: Tab) -> None:
    wrong = [f'S{number},2026-11-23T10:00:00Z,"http://photos.example/{number}".jpg\n' for number in range(20_000)]
    text = "".join(["store_id,visit_time,image_url\n", *wrong, "S1,2026-11-23T10:00:00Z,http://photos.example/1.jpg\n"])
    tab.open()

    found = tab.page.evaluate(READ_COUNTED, text)

    assert (found["visits"], found["rows"]) == (1, list(range(2, 20_002)))
    assert found["characters"] < 50 * len(text)
    assert found["breaks"] < 200
