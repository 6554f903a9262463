"""The check of what `sam build` makes, on builds that are made up here; .ci/run tries it on a real one."""

import shutil
from pathlib import Path

import pytest

from tools import artefacts
from tools.artefacts import BYTECODE_ENDING, BYTECODE_HEAD, ELF_MACHINES, PACKAGE, ROOT, Build

TEMPLATE = """\
Resources:
  Api: {Type: AWS::Serverless::HttpApi}
  Submit: {Type: AWS::Serverless::Function, Properties: {CodeUri: Submit}}
  Common: {Type: AWS::Serverless::LayerVersion, Properties: {ContentUri: Common}}
  Packages: {Type: AWS::Serverless::LayerVersion, Properties: {ContentUri: Packages}}
"""
EXTENSION = "_imaging.cpython-313-aarch64-linux-gnu.so"


def elf(architecture: str) -> bytes:
    return b"\x7fELF".ljust(18, b"\0") + ELF_MACHINES[architecture].to_bytes(2, "little")


def compile_module(source: Path, layer: Path) -> Path:
    """Write what stands for the bytecode of a module: how it begins, and the path that it names."""
    bytecode = source.parent / "__pycache__" / f"{source.stem}{BYTECODE_ENDING}"
    bytecode.parent.mkdir(exist_ok=True)
    bytecode.write_bytes(BYTECODE_HEAD + bytes(8) + f"/opt/{source.relative_to(layer).as_posix()}".encode())
    return bytecode


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A build for arm64 as it should be."""
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


def test_packages_for_another_processor_are_found_by_what_they_hold(built: Path) -> None:
    assert faults(built, "x86_64") == [f"Packages: {EXTENSION} is for another processor than x86_64"]


def test_a_library_with_a_version_behind_its_ending_is_looked_at_too(built: Path) -> None:
    (built / "Packages" / "python" / "libwebp-51b0b3f7.so.7.2.0").write_bytes(elf("x86_64"))
    assert faults(built) == ["Packages: libwebp-51b0b3f7.so.7.2.0 is for another processor than arm64"]


def test_packages_for_another_python_are_found(built: Path) -> None:
    extension = built / "Packages" / "python" / "PIL" / EXTENSION
    extension.rename(extension.with_name(EXTENSION.replace("313", "311")))
    assert faults(built) == ["Packages: _imaging.cpython-311-aarch64-linux-gnu.so is for another Python than 3.13"]


def test_a_doubled_python_folder_is_found(built: Path) -> None:
    (built / "Packages" / "python" / "python").mkdir()
    assert "Packages has its python/ folder doubled" in faults(built)


def test_what_lies_outside_the_python_folder_is_found(built: Path) -> None:
    (built / "Packages" / "PIL").mkdir()
    assert faults(built) == ["Packages holds PIL outside python/, where no function looks"]


def test_a_package_in_both_layers_is_found(built: Path) -> None:
    (built / "Common" / "python" / "PIL").mkdir()
    assert faults(built) == ["PIL lies in 2 layers"]


def test_a_store_master_that_is_still_a_link_is_found(built: Path) -> None:
    stores = built / "Common" / "python" / "retail_pulse" / "storage" / "store_master.csv"
    stores.unlink()
    stores.symlink_to(ROOT / "store_master.csv")
    assert faults(built) == ["store_master.csv is no file of its own beside the package"]


def test_another_store_master_is_found(built: Path) -> None:
    stores = built / "Common" / "python" / "retail_pulse" / "storage" / "store_master.csv"
    stores.write_text("AreaCode,StoreName,StoreID\n", encoding="utf-8")
    assert faults(built) == ["store_master.csv is not the one of the checkout"]


def test_a_missing_module_is_found(built: Path) -> None:
    (built / "Common" / "python" / "retail_pulse" / "jobs.py").unlink()
    assert "retail_pulse lacks jobs.py" in faults(built)


def test_a_missing_package_is_found(built: Path) -> None:
    shutil.rmtree(built / "Common" / "python" / "retail_pulse")
    assert faults(built) == ["0 layers carry retail_pulse, not one"]


def test_caches_and_tests_are_found_also_of_other_packages(built: Path) -> None:
    ours, other = built / "Common" / "python" / "retail_pulse", built / "Packages" / "python" / "PIL"
    for folder in (ours / ".mypy_cache", ours / "tests", other / "test", other / "_data" / "tests"):
        folder.mkdir(parents=True)
        (folder / "kept.json").touch()
    assert sorted(faults(built)) == [
        "Common ships python/retail_pulse/.mypy_cache/kept.json",
        "Common ships python/retail_pulse/tests/kept.json",
        "Packages ships python/PIL/_data/tests/kept.json",
        "Packages ships python/PIL/test/kept.json",
    ]


def test_a_module_without_bytecode_is_found_also_of_another_package(built: Path) -> None:
    (built / "Packages" / "python" / "six.py").touch()
    assert faults(built) == ["Packages ships python/six.py without bytecode"]


def test_bytecode_of_another_python_is_found(built: Path) -> None:
    cache = built / "Common" / "python" / "retail_pulse" / "__pycache__"
    (cache / f"jobs{BYTECODE_ENDING}").rename(cache / "jobs.cpython-311.pyc")
    assert faults(built) == [
        "Common ships python/retail_pulse/domain/jobs.py without bytecode",
        "Common ships python/retail_pulse/__pycache__/jobs.cpython-311.pyc, which belongs to no module",
    ]


def test_bytecode_that_is_checked_against_its_source_is_found(built: Path) -> None:
    bytecode = built / "Common" / "python" / "retail_pulse" / "__pycache__" / f"jobs{BYTECODE_ENDING}"
    bytecode.write_bytes(BYTECODE_HEAD[:4] + bytes(4) + bytecode.read_bytes()[8:])
    (fault,) = faults(built)
    assert fault.startswith(
        "Common: the bytecode of python/retail_pulse/domain/jobs.py is not of Python 3.13, or is checked"
    )


def test_bytecode_that_names_the_machine_that_built_it_is_found(built: Path) -> None:
    bytecode = built / "Common" / "python" / "retail_pulse" / "__pycache__" / f"jobs{BYTECODE_ENDING}"
    bytecode.write_bytes(BYTECODE_HEAD + bytes(8) + b"/builds/7/retail_pulse/domain/jobs.py")
    assert faults(built) == [
        "Common: the bytecode of python/retail_pulse/domain/jobs.py does not name "
        "/opt/python/retail_pulse/domain/jobs.py"
    ]


def test_a_description_that_botocore_lacks_is_found(built: Path) -> None:
    (built / "Packages" / "python" / "botocore" / "data" / "sqs").rmdir()
    assert faults(built) == ["botocore lacks the description of sqs"]


def test_a_function_of_more_than_its_handler_is_found(built: Path) -> None:
    (built / "Submit" / "notes.txt").touch()
    assert faults(built) == ["Submit holds app.py, notes.txt, not app.py alone"]


def test_what_leaves_no_room_below_the_limit_of_lambda_is_found(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert artefacts.MAX_BYTES <= 250 * 1024 * 1024 / 2
    monkeypatch.setattr(artefacts, "MAX_BYTES", 1000)
    (fault,) = faults(built)
    assert fault.endswith("bytes, more than 1,000")


def test_the_command_prints_sizes_and_tells_by_its_status(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert artefacts.main([str(built), "arm64"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["Submit", "Common", "Packages", "the"]
    assert artefacts.main([str(built), "x86_64"]) == 1
    assert capsys.readouterr().err.startswith("wrong: ")


def imports(built: Path, handler: str, **modules: str) -> list[str]:
    """Write a handler and modules of the package; return what is wrong with their imports."""
    (built / "Submit" / "app.py").write_text(handler)
    for name, text in modules.items():
        (built / "Common" / "python" / "retail_pulse" / f"{name}.py").write_text(text)
    return sorted(fault for fault in faults(built) if fault.startswith("Submit: "))


def test_an_import_that_the_artefact_lacks_is_found_wherever_it_stands(built: Path) -> None:
    handler = "def handler():\n    from retail_pulse.domain.idempotency import x\n    import yaml\n"
    assert imports(built, handler, claims="import six\nx = 1\n") == [
        "Submit: nothing in the artefact is six",
        "Submit: nothing in the artefact is yaml",
    ]


def test_a_module_that_is_taken_from_the_package_by_its_name_is_followed(built: Path) -> None:
    found = imports(built, "from retail_pulse import aws\n", aws="from retail_pulse import items\n", items="import six")
    assert found == ["Submit: nothing in the artefact is six"]


def test_a_name_that_is_neither_a_module_nor_bound_in_one_is_found(built: Path) -> None:
    found = imports(
        built,
        "from retail_pulse import gone\nfrom retail_pulse.domain.idempotency import here, there, Kind, moved\n",
        claims="from json import dumps as here\nif here:\n    there: int = 1\nclass Kind:\n    moved = 2\n",
    )
    assert found == ["Submit: retail_pulse has no gone", "Submit: retail_pulse.domain.idempotency has no moved"]


def test_an_import_for_type_checking_alone_is_none(built: Path) -> None:
    (built / "Submit" / "app.py").write_text("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import yaml\n")
    assert faults(built) == []
