"""The Postman collection against the whole stack, run by newman: every request, every check."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.checkout import ROOT
from local.images.server import ImageServer
from local.stack.process import StackProcess
from tests.support.waiting import END_SECONDS
from tools.postman import FILE

NODE_MODULES = ROOT / "tools" / "node" / "node_modules"
NEWMAN = NODE_MODULES / "newman" / "bin" / "newman.js"

pytestmark = pytest.mark.skipif(
    not (NODE_MODULES / ".installed").exists() or shutil.which("node") is None,
    reason="the Postman collection is not run: newman is not installed (`make node`)",
)


@pytest.fixture
def base(images: ImageServer, picture: bytes) -> str:
    """What the variable `images` of the collection stands for."""
    for name in ("2.jpg", "3.jpg"):
        images.add(f"/{name}", picture)
    return images.url("")


def run(tmp_path: Path, *options: str, **variables: str) -> tuple[int, str, Any]:
    """Run the collection; return newman's exit code, its output and the executions."""
    report = tmp_path / "report.json"
    command = ["node", str(NEWMAN), "run", str(FILE), "--color", "off", "--disable-unicode", *options]
    command += ["--reporters", "cli,json", "--reporter-json-export", str(report)]
    for name, value in variables.items():
        command += ["--env-var", f"{name}={value}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=END_SECONDS, check=False)
    return done.returncode, done.stdout + done.stderr, json.loads(report.read_text("utf-8"))["run"]["executions"]


def names(items: Any) -> Iterator[str]:
    """Yield the names of all requests of a part of the collection."""
    for item in items:
        if "item" in item:
            yield from names(item["item"])
        else:
            yield item["name"]


def test_every_request_of_the_collection_passes_its_checks(stack: StackProcess, base: str, tmp_path: Path) -> None:
    code, output, executions = run(tmp_path, baseUrl=stack.url, apiKey=stack.api_key, images=base)
    assert code == 0, output
    every = list(names(json.loads(FILE.read_text("utf-8"))["item"]))
    assert {each["item"]["name"] for each in executions} == set(every)
    # Every request has at least a check of its status and one of its shape.
    assert all(len(each["assertions"]) >= 2 for each in executions)


def test_a_check_that_fails_fails_the_run(stack: StackProcess, tmp_path: Path) -> None:
    code, output, executions = run(tmp_path, "--folder", "Service", baseUrl=stack.url, apiKey="no-such-key")
    assert code == 1, output
    failed = [check["assertion"] for each in executions for check in each["assertions"] if "error" in check]
    assert failed == ["the status is 200", "the body has the described shape"]
