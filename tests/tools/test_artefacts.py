"""The check of the output of `sam build`, on made-up builds; `make build` runs it on a real one."""

import shutil
import sys
from pathlib import Path

import pytest
import yaml

from tools import artefacts
from tools.artefacts import BYTECODE_ENDING, BYTECODE_HEAD, ELF_MACHINES, PACKAGE, Build

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


def elf(architecture: str) -> bytes:
    return b"\x7fELF".ljust(18, b"\0") + ELF_MACHINES[architecture].to_bytes(2, "little")


def compile_module(source: Path, layer: Path) -> Path:
    """Write a stand-in for the bytecode of a module: its first bytes, and the path that it names."""
    bytecode = source.parent / "__pycache__" / f"{source.stem}{BYTECODE_ENDING}"
    bytecode.parent.mkdir(exist_ok=True)
    bytecode.write_bytes(BYTECODE_HEAD + bytes(8) + f"/opt/{source.relative_to(layer).as_posix()}".encode())
    return bytecode


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A correct build for arm64, on a machine that cannot run it."""
    monkeypatch.setattr(artefacts, "ARCHITECTURE", "riscv64")
    (tmp_path / "template.yaml").write_text(TEMPLATE, encoding="utf-8")
    (tmp_path / "Submit").mkdir()
    (tmp_path / "Submit" / "app.py").write_text("", encoding="utf-8")
    package = tmp_path / "Common" / "python" / "retail_pulse"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    for source in list(package.rglob("*.py")):
        compile_module(source, tmp_path / "Common")
    pillow = tmp_path / "Packages" / "python" / "PIL"
    pillow.mkdir(parents=True)
    (pillow / EXTENSION).write_bytes(elf("arm64"))
    for service in ("dynamodb", "sqs"):
        (tmp_path / "Packages" / "python" / "botocore" / "data" / service).mkdir(parents=True)
    return tmp_path


def faults(folder: Path, architecture: str = "arm64") -> list[str]:
    return list(Build(folder).faults(architecture))


def test_a_good_build_has_no_faults(built: Path) -> None:
    assert faults(built) == []


def test_packages_for_another_processor_are_found_by_their_content(built: Path) -> None:
    assert faults(built, "x86_64") == [f"Packages: {EXTENSION} is for another processor than x86_64"]


def test_a_library_with_a_version_after_its_ending_is_checked_too(built: Path) -> None:
    (built / "Packages" / "python" / "libwebp-51b0b3f7.so.7.2.0").write_bytes(elf("x86_64"))
    assert faults(built) == ["Packages: libwebp-51b0b3f7.so.7.2.0 is for another processor than arm64"]


def test_packages_for_another_python_are_found(built: Path) -> None:
    extension = built / "Packages" / "python" / "PIL" / EXTENSION
    extension.rename(extension.with_name(EXTENSION.replace("313", "311")))
    assert faults(built) == ["Packages: _imaging.cpython-311-aarch64-linux-gnu.so is for another Python than 3.13"]


def test_a_second_python_folder_within_the_first_is_found(built: Path) -> None:
    (built / "Packages" / "python" / "python").mkdir()
    assert "Packages has a second python/ folder within the first" in faults(built)


def test_content_outside_the_python_folder_is_found(built: Path) -> None:
    (built / "Packages" / "PIL").mkdir()
    assert faults(built) == ["Packages has PIL outside python/, which is not on a function's path"]


def test_a_package_in_both_layers_is_found(built: Path) -> None:
    (built / "Common" / "python" / "PIL").mkdir()
    assert faults(built) == ["PIL is in 2 layers"]


@pytest.fixture
def package(built: Path) -> Path:
    return built / "Common" / "python" / "retail_pulse"


def store_master(package: Path) -> tuple[Path, str]:
    """Return the path of the store master, and its name in the package."""
    (found,) = package.rglob("store_master.csv")
    return found, found.relative_to(package).as_posix()


def test_a_store_master_that_is_still_a_link_is_found(built: Path, package: Path) -> None:
    stores, name = store_master(package)
    stores.unlink()
    stores.symlink_to(PACKAGE / name)
    assert faults(built) == [f"retail_pulse lacks {name}"]


def test_a_different_store_master_is_found(built: Path, package: Path) -> None:
    stores, name = store_master(package)
    stores.write_text("AreaCode,StoreName,StoreID\n", encoding="utf-8")
    assert faults(built) == [f"{name} of retail_pulse is not the checkout's"]


def test_a_missing_module_is_found(built: Path, package: Path) -> None:
    (package / "__init__.py").unlink()
    assert "retail_pulse lacks __init__.py" in faults(built)


def test_a_missing_package_is_found(built: Path, package: Path) -> None:
    shutil.rmtree(package)
    assert faults(built) == ["0 layers carry retail_pulse, not one"]


def test_caches_and_tests_are_found_in_every_package(built: Path, package: Path) -> None:
    other = built / "Packages" / "python" / "PIL"
    for folder in (package / ".mypy_cache", package / "tests", other / "test", other / "_data" / "tests"):
        folder.mkdir(parents=True)
        (folder / "kept.json").touch()
    assert sorted(faults(built)) == [
        "Common ships python/retail_pulse/.mypy_cache/kept.json",
        "Common ships python/retail_pulse/tests/kept.json",
        "Packages ships python/PIL/_data/tests/kept.json",
        "Packages ships python/PIL/test/kept.json",
    ]


def test_a_module_without_bytecode_is_found_in_every_package(built: Path) -> None:
    (built / "Packages" / "python" / "six.py").touch()
    assert faults(built) == ["Packages ships python/six.py without bytecode"]


def test_bytecode_of_another_python_is_found(built: Path, package: Path) -> None:
    (package / "__pycache__" / f"__init__{BYTECODE_ENDING}").rename(
        package / "__pycache__" / "__init__.cpython-311.pyc"
    )
    assert faults(built) == [
        "Common ships python/retail_pulse/__init__.py without bytecode",
        "Common ships python/retail_pulse/__pycache__/__init__.cpython-311.pyc, which belongs to no module",
    ]


def test_bytecode_that_is_checked_against_its_source_is_found(built: Path, package: Path) -> None:
    bytecode = package / "__pycache__" / f"__init__{BYTECODE_ENDING}"
    bytecode.write_bytes(BYTECODE_HEAD[:4] + bytes(4) + bytecode.read_bytes()[8:])
    assert faults(built) == [
        "Common: the bytecode of python/retail_pulse/__init__.py is not Python 3.13's, or is checked against its source"
    ]


def test_bytecode_that_names_the_build_machine_is_found(built: Path, package: Path) -> None:
    bytecode = package / "__pycache__" / f"__init__{BYTECODE_ENDING}"
    bytecode.write_bytes(BYTECODE_HEAD + bytes(8) + b"/builds/7/retail_pulse/__init__.py")
    assert faults(built) == [
        "Common: the bytecode of python/retail_pulse/__init__.py does not name /opt/python/retail_pulse/__init__.py"
    ]


def test_a_description_that_botocore_lacks_is_found(built: Path) -> None:
    (built / "Packages" / "python" / "botocore" / "data" / "sqs").rmdir()
    assert faults(built) == ["botocore lacks the description of sqs"]


def test_a_function_with_more_than_its_handler_is_found(built: Path) -> None:
    (built / "Submit" / "notes.txt").touch()
    assert faults(built) == ["Submit has app.py, notes.txt, not just app.py"]


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
    (built / "Submit" / "notes.txt").touch()
    assert artefacts.main([str(built), "arm64"]) == 1
    assert capsys.readouterr().err == "wrong: Submit has app.py, notes.txt, not just app.py\n"


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
    built: Path, package: Path, monkeypatch: pytest.MonkeyPatch, handler: str, fault: str
) -> None:
    # GIVEN a machine for which it was built, whose own Python has yaml, and modules without bytecode
    monkeypatch.setattr(artefacts, "ARCHITECTURE", "arm64")
    monkeypatch.setenv("PYTHONPATH", str(Path(yaml.__file__).parents[1]))
    monkeypatch.setenv("QUEUE_URL", "of this machine")
    (built / "Submit" / "app.py").write_text(handler, encoding="utf-8")
    (built / "Packages" / "python" / "six.py").touch()
    shutil.rmtree(package)
    package.mkdir()
    (package / "page.py").write_text("def page():\n    import yaml\n", encoding="utf-8")

    found = [each for each in Build(built).faults("arm64", sys.executable) if each.startswith("Submit")]

    assert len(found) == bool(fault)
    assert "".join(found).startswith(f"Submit cannot be imported: {fault}" if fault else "")
    assert [path.name for path in (built / "Submit").iterdir()] == ["app.py"]
