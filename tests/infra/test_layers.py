"""The makefiles of the layers, which `sam build` runs; .ci/run checks the result for both architectures."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.infra import sam
from tools.artefacts import called_services

LAYERS = sorted(sam.of_type(sam.read()["Resources"], sam.LAYER))
DEPENDENCIES = sam.ROOT / "layers" / "dependencies"


@pytest.fixture
def makefile(template: sam.Body, name: str) -> str:
    content: str = template["Resources"][name]["Properties"]["ContentUri"]
    return (sam.TEMPLATE.parent / content / "Makefile").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", LAYERS)
class TestEveryMakefile:
    def test_has_the_target_that_sam_calls(self, makefile: str, name: str) -> None:
        assert f"\nbuild-{name}:\n" in makefile

    def test_compiles_for_a_place_without_file_times(self, makefile: str, name: str) -> None:
        assert "compileall -q --invalidation-mode unchecked-hash" in makefile
        # Otherwise the order of constant sets would differ from build to build.
        assert "PYTHONHASHSEED=0" in makefile


def test_the_working_directory_tells_the_makefile_the_architecture(template: sam.Body) -> None:
    working = template["Resources"]["DependenciesLayer"]["Metadata"]["WorkingDirectory"]["Fn::Sub"]
    for architecture in template["Parameters"]["Architecture"]["AllowedValues"]:
        folder = (sam.TEMPLATE.parent / working.replace("${Architecture}", architecture)).resolve()
        assert folder == DEPENDENCIES / architecture
        assert (folder / "platforms.txt").is_file()


def test_the_wheels_are_those_of_the_lock() -> None:
    newest = {path.read_text(encoding="utf-8").split()[0] for path in DEPENDENCIES.glob("*/platforms.txt")}
    locked = re.findall(r"--python-platform (\w+)-(\w+)", (sam.ROOT / "Makefile").read_text(encoding="utf-8"))
    assert newest == {f"{wheels}_{processor}" for processor, wheels in locked}


def test_botocore_keeps_the_descriptions_of_the_services_that_are_called() -> None:
    (kept,) = re.findall(r"^SERVICES := (.+)$", (DEPENDENCIES / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(kept.split()) == called_services() != set()


def test_the_common_layer_is_the_package_with_its_bytecode_and_no_links(tmp_path: Path) -> None:
    folder = sam.ROOT / "layers" / "common"
    command = ["make", "--silent", "build-CommonLayer", f"ARTIFACTS_DIR={tmp_path}", f"PYTHON={sys.executable}"]
    subprocess.run(command, cwd=folder, check=True)

    built = tmp_path / "python" / "retail_pulse"
    assert [path.name for path in tmp_path.iterdir()] == ["python"]
    assert [path for path in built.rglob("*") if path.is_symlink()] == []
    assert (built / "storage" / "store_master.csv").read_bytes() == (sam.ROOT / "store_master.csv").read_bytes()
    sources = {path.relative_to(folder / "retail_pulse") for path in (folder / "retail_pulse").rglob("*.py")}
    compiled = {Path(importlib.util.source_from_cache(str(path))) for path in built.rglob("*.pyc")}
    assert {path.relative_to(built) for path in compiled} == sources
    bytecode = Path(importlib.util.cache_from_source(str(built / "domain" / "jobs.py"))).read_bytes()
    assert b"/opt/python/retail_pulse/domain/jobs.py" in bytecode
