"""The console's modules, as TypeScript reads them: there is no build that would find a name that does not exist."""

import re
import shutil
from pathlib import Path

import pytest

from local.checkout import ROOT
from tests.support.checkout import run

STATIC = ROOT / "functions" / "console" / "static"
COMPILER = ROOT / "tools" / "node" / "node_modules" / "typescript" / "bin" / "tsc"
OPTIONS = (
    "--allowJs", "--checkJs", "--noEmit", "--skipLibCheck", "--target", "es2022", "--module", "es2022",
    "--moduleResolution", "bundler", "--lib", "es2023,dom,dom.iterable",
)  # fmt: skip
# Names, members of modules and modules that do not exist, and variables that are used before they have a value.
UNKNOWN = re.compile(r"error TS(2304|2305|2307|2448|2552|2614|2724|18004): ")

pytestmark = pytest.mark.skipif(
    not (shutil.which("node") and COMPILER.exists()), reason="needs Node.js and the npm packages: make node"
)


def unknown_names(*modules: Path) -> list[str]:
    lines = run("node", COMPILER, *OPTIONS, *modules).stdout.splitlines()
    return [line for line in lines if UNKNOWN.search(line) and "/vendor/" not in line]


def test_every_name_exists() -> None:
    assert unknown_names(STATIC / "app.js", *STATIC.glob("pages/*.js")) == []


def test_a_name_that_does_not_exist_is_found(tmp_path: Path) -> None:
    module = tmp_path / "page.js"
    module.write_text('import { no } from "./nowhere.js";\nexport const total = parts.length;\n', encoding="utf-8")
    assert len(unknown_names(module)) == 2
