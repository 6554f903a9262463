"""The makefiles under GNU Make 3.81, the newest one of macOS: it reads a function that it does not know as empty."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from local.checkout import ROOT
from tests.infra.test_layers import DEPENDENCIES

MAKEFILES = [ROOT / "Makefile", *sorted((ROOT / "layers").glob("*/Makefile"))]
# What came after 3.81, from the NEWS of GNU Make 3.82 to 4.4.
NEWER_FUNCTIONS = ("file", "guile", "intcmp", "let")
NEWER = re.compile(
    rf"\$[({{](?:{'|'.join(NEWER_FUNCTIONS)})\s"
    r"|^\s*(?:\.ONESHELL|\.EXTRA_PREREQS|\.WAIT|\.NOTINTERMEDIATE|undefine\s|load\s|-load\s)"
    r"|^[\w.-]+\s*(?:!=|::=|:::=|\+:=)"
    r"|^\s*define\s+\S+\s*[:?+]?="
    r"|^[^#\t:=]+:\s*private\s",
    re.MULTILINE,
)


@pytest.mark.parametrize("path", MAKEFILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_makefile_uses_what_is_newer(path: Path) -> None:
    assert NEWER.findall(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "line",
    [
        "X := $(file < a)", "X := ${let a,b,c}", ".ONESHELL:", "undefine X", "X != date", "X ::= a", "define X =",
        "all: private X := a",
    ],
)  # fmt: skip
def test_what_is_newer_is_found(line: str) -> None:
    assert NEWER.search(line)


def as_3_81_reads(text: str) -> str:
    """Return a makefile whose newer functions are names of variables that do not exist."""
    return re.sub(rf"\$\(({'|'.join(NEWER_FUNCTIONS)})\s", r"$(unknown_\1 ", text)


def build(architecture: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the makefile of the dependency layer as `sam build` does, with an old Make."""
    makefile = as_3_81_reads((DEPENDENCIES / "Makefile").read_text(encoding="utf-8"))
    command = ["make", "--makefile", "-", "build-DependenciesLayer", "ARTIFACTS_DIR=/nowhere", *arguments]
    folder = DEPENDENCIES / architecture
    # `make test` would tell the inner make to print the folders that it enters.
    top = os.environ | {"MAKEFLAGS": "", "MAKELEVEL": "0"}
    return subprocess.run(command, input=makefile, cwd=folder, env=top, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("architecture", ["arm64", "x86_64"])
def test_the_wheels_are_those_of_lambda_with_an_old_make(architecture: str) -> None:
    platforms = (DEPENDENCIES / architecture / "platforms.txt").read_text(encoding="utf-8").split()
    planned = build(architecture, "--dry-run").stdout
    assert re.findall(r"--platform (\S+)", planned) == platforms != []


def test_a_build_without_platforms_stops_before_pip_chooses_some() -> None:
    stopped = build("arm64", "PLATFORMS=", "PYTHON=false")
    assert stopped.returncode != 0
    assert stopped.stdout == "platforms.txt is missing or empty\n"
