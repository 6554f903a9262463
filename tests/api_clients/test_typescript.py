"""TypeScript types from the description, with a program that uses them."""

import shutil
from pathlib import Path

from tests.support.node import run_node


def test_a_program_that_uses_the_types_compiles(tmp_path: Path) -> None:
    made = run_node("openapi-typescript", "docs/openapi.json", "--output", tmp_path / "api.d.ts")
    assert made.returncode == 0, made.stdout + made.stderr
    shutil.copy(Path(__file__).with_name("uses.ts"), tmp_path)
    options = ("--noEmit", "--strict", "--target", "es2022", "--module", "nodenext")
    compiled = run_node("tsc", *options, "uses.ts", folder=tmp_path)
    assert compiled.returncode == 0, compiled.stdout
