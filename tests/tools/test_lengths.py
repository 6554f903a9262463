"""Functions of at most about 60 lines, classes of at most about 300: ruff counts branches, not lines."""

import ast

from local.checkout import ROOT

SOURCES = [
    path
    for folder in ("functions", "layers", "cli", "local", "tools", "benchmarks", "tests")
    for path in (ROOT / folder).rglob("*.py")
]


def test_no_function_and_no_class_is_too_long() -> None:
    too_long = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.name}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= (300 if isinstance(node, ast.ClassDef) else 60)
    ]
    assert too_long == []
