"""The check of the output of `sam build`, on made-up builds; `make build` runs it on a real one."""

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from tools import artefacts
from tools.artefacts import BYTECODE_ENDING, BYTECODE_HEAD, ELF_MACHINES, PACKAGE, Build, BuildError

TEMPLATE = """\
Parameters:
  Threads: {Type: Number, Default: 4}
Globals:
  Function: {Environment: {Variables: {THREADS: !Ref Threads}}}
Resources:
  Api: {Type: AWS::Serverless::HttpApi}
  Table: {Type: AWS::DynamoDB::Table, Properties: {}}
  Submit:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: Submit, Environment: {Variables: {TABLE_NAME: !Ref Table}}}
  Common: {Type: AWS::Serverless::LayerVersion, Properties: {ContentUri: Common}}
  Packages: {Type: AWS::Serverless::LayerVersion, Properties: {ContentUri: Packages}}
"""
EXTENSION = "_imaging.cpython-313-aarch64-linux-gnu.so"
PILLOW = "Packages/python/PIL"
SHIPPED = "Common/python/retail_pulse"
INIT = "python/retail_pulse/__init__.py"
INIT_PYC = f"python/retail_pulse/__pycache__/__init__{BYTECODE_ENDING}"
OLD_PYC = INIT_PYC.replace("313", "311")
(STORES,) = (path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("store_master.csv"))


def elf(architecture: str) -> bytes:
    return b"\x7fELF".ljust(18, b"\0") + ELF_MACHINES[architecture].to_bytes(2, "little")


def bytecode(module: str, head: bytes = BYTECODE_HEAD) -> bytes:
    """Return a stand-in for the bytecode of a module: its first bytes, and the path that it names."""
    return head + bytes(8) + module.encode()


def change(folder: Path, files: Mapping[str, bytes | None]) -> None:
    """Write files with these contents; remove what has none."""
    for name, content in files.items():
        path = folder / name
        if content is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        elif path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A correct build for arm64, on a machine that cannot run it."""
    monkeypatch.setattr(artefacts, "ARCHITECTURE", "riscv64")
    data = "Packages/python/botocore/data"
    change(tmp_path, {"template.yaml": TEMPLATE.encode(), "Submit/app.py": b"", f"{PILLOW}/{EXTENSION}": elf("arm64")})
    change(tmp_path, {f"{data}/dynamodb/service.json": b"", f"{data}/sqs/service.json": b""})
    shutil.copytree(PACKAGE, tmp_path / SHIPPED, ignore=shutil.ignore_patterns("__pycache__"))
    for source in list((tmp_path / SHIPPED).rglob("*.py")):
        module = source.relative_to(tmp_path / "Common").as_posix()
        change(source.parent, {f"__pycache__/{source.stem}{BYTECODE_ENDING}": bytecode(f"/opt/{module}")})
    return tmp_path


def faults(folder: Path, architecture: str = "arm64") -> list[str]:
    return list(Build(folder).faults(architecture))


def test_packages_for_another_processor_are_found_by_their_content(built: Path) -> None:
    assert faults(built, "x86_64") == [f"Packages: {EXTENSION} is for another processor than x86_64"]


def test_a_store_master_that_is_still_a_link_is_found(built: Path) -> None:
    (built / SHIPPED / STORES).unlink()
    (built / SHIPPED / STORES).symlink_to(PACKAGE / STORES)
    assert faults(built) == [f"retail_pulse lacks {STORES}"]


# Files that change in a correct build, None for removed ones, and what is wrong with it then.
CHANGES: dict[str, tuple[dict[str, bytes | None], list[str]]] = {
    "nothing": ({}, []),
    "a library for another processor, with a version after its ending":
        ({"Packages/python/webp.so.7.2": elf("x86_64")}, ["Packages: webp.so.7.2 is for another processor than arm64"]),
    "a library of the machine that built it, such as a Mac":
        ({"Packages/python/fast.so": b"\xcf\xfa\xed\xfe"}, ["Packages: fast.so is not a library for Linux"]),
    "a package for another Python": (
        {f"{PILLOW}/{EXTENSION}": None, f"{PILLOW}/{EXTENSION.replace('313', '311')}": elf("arm64")},
        ["Packages: _imaging.cpython-311-aarch64-linux-gnu.so is for another Python than 3.13"],
    ),
    "a second python folder within the first":
        ({"Packages/python/python/LICENSE": b""}, ["Packages has a second python/ folder within the first"]),
    "content outside the python folder":
        ({"Packages/PIL/LICENSE": b""}, ["Packages has PIL outside python/, which is not on a function's path"]),
    "a package in both layers": ({"Common/python/PIL/LICENSE": b""}, ["PIL is in 2 layers"]),
    "a different store master": ({f"{SHIPPED}/{STORES}": b"S"}, [f"{STORES} of retail_pulse is not the checkout's"]),
    "a missing module": (
        {f"{SHIPPED}/__init__.py": None},
        [f"Common ships {INIT_PYC}, which belongs to no module", "retail_pulse lacks __init__.py"],
    ),
    "a missing package": ({SHIPPED: None}, ["0 layers carry retail_pulse, not one"]),
    "caches and tests in every package": (
        {
            f"{SHIPPED}/.mypy_cache/a": b"", f"{SHIPPED}/tests/a": b"",
            f"{PILLOW}/a/tests/a": b"", f"{PILLOW}/test/a": b"",
        },
        [
            "Common ships python/retail_pulse/.mypy_cache/a", "Common ships python/retail_pulse/tests/a",
            "Packages ships python/PIL/a/tests/a", "Packages ships python/PIL/test/a",
        ],
    ),
    "a module without bytecode":
        ({"Packages/python/six.py": b""}, ["Packages ships python/six.py without bytecode"]),
    "bytecode of another Python": (
        {f"Common/{INIT_PYC}": None, f"Common/{OLD_PYC}": b""},
        [f"Common ships {INIT} without bytecode", f"Common ships {OLD_PYC}, which belongs to no module"],
    ),
    "bytecode that is checked against its source": (
        {f"Common/{INIT_PYC}": bytecode(f"/opt/{INIT}", BYTECODE_HEAD[:4] + bytes(4))},
        [f"Common: the bytecode of {INIT} is not Python 3.13's, or is checked against its source"],
    ),
    "bytecode that names the build machine": (
        {f"Common/{INIT_PYC}": bytecode("/builds/7/retail_pulse/__init__.py")},
        [f"Common: the bytecode of {INIT} does not name /opt/{INIT}"],
    ),
    "a description that botocore lacks":
        ({"Packages/python/botocore/data/sqs": None}, ["botocore lacks the description of sqs"]),
    "a function with more than its handler":
        ({"Submit/notes.txt": b""}, ["Submit has notes.txt, which is not in its folder"]),
}  # fmt: skip


@pytest.mark.parametrize(("files", "found"), CHANGES.values(), ids=CHANGES)
def test_what_is_wrong_with_a_build_is_found(built: Path, files: dict[str, bytes | None], found: list[str]) -> None:
    change(built, files)
    assert sorted(faults(built)) == found


def test_its_architecture_is_that_of_its_libraries(built: Path) -> None:
    assert Build(built).architecture() == "arm64"
    change(built, {f"{PILLOW}/{EXTENSION}": b"\xcf\xfa\xed\xfe"})
    with pytest.raises(BuildError, match="no library for Lambda"):
        Build(built).architecture()


def test_a_function_without_its_further_files_is_found(built: Path) -> None:
    change(built, {"template.yaml": TEMPLATE.replace("  Submit:", "  ConsoleFunction:").encode()})
    (fault,) = faults(built)
    assert fault.startswith("ConsoleFunction lacks static/")


def test_a_size_near_lambdas_limit_is_found(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert artefacts.MAX_BYTES <= 250 * 1024 * 1024 / 2
    monkeypatch.setattr(artefacts, "MAX_BYTES", 1000)
    (fault,) = faults(built)
    assert fault.endswith("bytes, more than 1,000")


def test_the_command_prints_sizes_and_fails_when_there_are_faults(
    built: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert artefacts.main([str(built), "arm64"]) == 0
    *sizes, skipped = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in sizes] == ["Submit", "Common", "Packages", "the"]
    assert skipped == "imports were not tried: this machine is riscv64, the build is for arm64"
    change(built, {"Submit/notes.txt": b""})
    assert artefacts.main([str(built), "arm64"]) == 1
    assert capsys.readouterr().err == "wrong: Submit has notes.txt, which is not in its folder\n"


MISSING = "ModuleNotFoundError: No module named 'yaml'"


@pytest.mark.parametrize(
    ("handler", "fault"),
    [
        ("import json, six, PIL", ""),
        ("import yaml", MISSING),
        ("import retail_pulse.page", MISSING),
        ("def handler():\n    import yaml", MISSING),
        ("def handler():\n    from PIL import Image", "ModuleNotFoundError: No module named 'PIL.Image'"),
        ("def handler():\n    from json import dumps, decoder", ""),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import yaml", ""),
        ("from json import gone", "ImportError: cannot import name 'gone' from 'json'"),
        ("import os; assert (os.environ['TABLE_NAME'], os.environ['THREADS']) == ('Table', '4')", ""),
        ("import os; os.environ['QUEUE_URL']", "KeyError: 'QUEUE_URL'"),
        ("import socket; socket.create_connection(('127.0.0.1', 9))", "PermissionError: socket.getaddrinfo: a cold"),
        ("import socket; socket.socket().connect(('127.0.0.1', 9))", "PermissionError: socket.connect: a cold start"),
    ],
)
def test_functions_are_imported_with_only_the_artefact_and_the_templates_variables(
    built: Path, monkeypatch: pytest.MonkeyPatch, handler: str, fault: str
) -> None:
    # GIVEN a machine for which it was built, whose own Python has yaml, and modules without bytecode
    monkeypatch.setattr(artefacts, "ARCHITECTURE", "arm64")
    monkeypatch.setenv("PYTHONPATH", str(Path(yaml.__file__).parents[1]))
    monkeypatch.setenv("QUEUE_URL", "of this machine")
    change(built, {"Submit/app.py": handler.encode(), "Packages/python/six.py": b"", SHIPPED: None})
    change(built, {f"{SHIPPED}/page.py": b"def page():\n    import yaml\n"})

    found = [each for each in Build(built).faults("arm64", sys.executable) if each.startswith("Submit")]

    assert len(found) == bool(fault)
    assert "".join(found).startswith(f"Submit cannot be imported: {fault}" if fault else "")
    assert [path.name for path in (built / "Submit").iterdir()] == ["app.py"]
