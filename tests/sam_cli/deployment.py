"""The real `sam deploy` against the embedded stack: a new stack, and an update over live data (`make test-sam-cli`).

The embedded stack is only the AWS behind it: `sam` makes stacks of its own, beside the one that `local.serve` deployed.
The emulator makes no routes of an ``HttpApi`` (see `local.http_api`), so the test looks at the resources and the data.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.clients import client
from local.process import StackProcess
from tools.keys import store_key

ROOT = Path(__file__).resolve().parents[2]
BUILT = ROOT / ".aws-sam" / "build" / "template.yaml"
# What `sam build` made, where it has run; else the functions go up without their packages, which no check here needs.
TEMPLATE = BUILT if BUILT.exists() else ROOT / "infra" / "template.yaml"
STACK = "retail-pulse-sam"
KEY = "key-that-survives"

pytestmark = pytest.mark.skipif(shutil.which("sam") is None, reason="there is no SAM CLI (`sam`) on PATH")


def sam(*arguments: str, folder: Path, endpoint_url: str) -> None:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("AWS_") and name not in {"PYTHONPATH", "VIRTUAL_ENV"}
    }
    environment |= {
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "SAM_CLI_TELEMETRY": "0",
    }
    done = subprocess.run(
        ["sam", *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def emulator() -> Iterator[StackProcess]:
    with StackProcess() as running:
        yield running


def deploy(stack: StackProcess, folder: Path, **parameters: str) -> None:
    sam(
        *("deploy", "--template-file", str(TEMPLATE), "--stack-name", STACK),
        *("--resolve-s3", "--capabilities", "CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND", "--no-confirm-changeset"),
        *("--parameter-overrides", *(f"{name}={value}" for name, value in parameters.items())),
        folder=folder,
        endpoint_url=stack.endpoint_url,
    )


def resources(stack: StackProcess) -> dict[str, str]:
    found = client("cloudformation", stack.endpoint_url).describe_stack_resources(StackName=STACK)["StackResources"]
    return {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in found}


def test_an_update_changes_the_functions_and_leaves_a_job_and_a_key_as_they_are(
    emulator: StackProcess, tmp_path: Path
) -> None:
    dynamodb: Any = emulator.client("dynamodb")
    functions: Any = emulator.client("lambda")
    deploy(emulator, tmp_path, Stage="dev", LogLevel="INFO")
    before = resources(emulator)
    table = before["JobsTable"]
    store_key(dynamodb, table, KEY, "acme")
    dynamodb.put_item(
        TableName=table,
        Item={
            "pk": {"S": "JOB#acme#7"},
            "sk": {"S": "JOB"},
            "status": {"S": "completed"},
            "done_chunks": {"NS": ["0"]},
        },
    )
    items = sorted(map(json.dumps, dynamodb.scan(TableName=table)["Items"]))

    deploy(emulator, tmp_path, Stage="prod", LogLevel="DEBUG")
    after = resources(emulator)

    assert after["JobsTable"] == table
    assert after["ChunkQueue"] == before["ChunkQueue"]
    assert sorted(map(json.dumps, dynamodb.scan(TableName=table)["Items"])) == items
    assert len(items) >= 2
    configuration = functions.get_function_configuration(FunctionName=after["SubmitFunction"])
    assert configuration["Environment"]["Variables"]["POWERTOOLS_LOG_LEVEL"] == "DEBUG"
    assert dynamodb.describe_table(TableName=table)["Table"]["DeletionProtectionEnabled"] is True
