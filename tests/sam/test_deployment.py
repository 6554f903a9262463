"""`make deploy` with the real SAM CLI and samconfig's stages, and an update over live data (`make test-sam-cli`).

The embedded stack only stands in for AWS: `sam` creates its own stacks, next to the one that `local.stack.serve`
deployed. The emulator creates no routes for an ``HttpApi`` (see `local.emulator.http_api`), so the tests invoke the
functions with API Gateway's events.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.checkout import ARCHITECTURE, ROOT, TEMPLATE
from local.client import submission
from local.emulator.bundles import Bundle, pack
from local.emulator.template import Template
from local.images.pictures import Format, make_image
from local.images.server import ImageServer
from local.lambda_host.environment import FUNCTIONS
from local.lambda_host.events import api_event, authorizer_event
from local.sam.environment import environment
from local.stack.process import StackProcess
from retail_pulse.domain.api_keys import new_key
from retail_pulse.storage.api_keys_table import ApiKeysTable
from tests.infra.test_samconfig import overrides
from tests.support.waiting import wait_until
from tools.deploy import BUILD, Deployer, DeployError, stack_name

pytestmark = pytest.mark.sam_cli

KEY = new_key()
CLIENT = "acme"
STORE = "S00339218"
_JOB_SECONDS = 30.0


def check_needs() -> None:
    """End the run if something is missing: a run without tests must not look as if it passed."""
    if shutil.which("sam") is None:
        pytest.exit("sam deploy needs the SAM CLI (`sam` on PATH)", returncode=1)
    if not BUILD.exists():
        pytest.exit("sam deploy needs a build: run `make build`", returncode=1)


@pytest.fixture(scope="module")
def emulator() -> Iterator[StackProcess]:
    check_needs()
    with StackProcess() as running:
        yield running


class Packed:
    """In place of `tools.artefacts.Build`: what the emulator can run is not what `sam build` made for Lambda."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def architecture(self) -> str:
        return ARCHITECTURE

    def faults(self, _: str) -> list[str]:
        return []


def for_the_emulator(stage: str, folder: Path) -> Path:
    """Write a template that the emulator can run into a folder, with the packed code next to it; return the folder.

    The emulator's workers run on this Python with its packages, not on what `sam build` built for Lambda.
    """
    template = Template(TEMPLATE, overrides(stage))
    # The images are on this machine. Defaults are changed, so that the overrides stay those of samconfig.toml.
    template.body["Parameters"]["AllowedNetworks"]["Default"] = "127.0.0.0/8"
    template.body["Parameters"]["AllowedPorts"]["Default"] = "1-65535"
    # The rules refuse such networks in production.
    del template.body["Rules"]

    def put(bundle: Bundle) -> str:
        (folder / bundle.key).write_bytes(bundle.content)
        return bundle.key

    pack(template, put)
    (folder / "template.yaml").write_text(json.dumps(template.body), encoding="utf-8")
    return folder


class Deployed:
    """The present state of a stack that `sam` deployed to the emulator."""

    def __init__(self, emulator: StackProcess, name: str) -> None:
        self._name = name
        self._cloudformation = emulator.client("cloudformation")
        described = self._cloudformation.describe_stack_resources(StackName=name)["StackResources"]
        self.resources = {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in described}
        self._lambda = emulator.client("lambda")
        self._dynamodb = emulator.client("dynamodb")

    def call(self, function: str, sent: dict[str, Any]) -> dict[str, Any]:
        """Invoke the live version of a function by its logical ID."""
        answer = self._lambda.invoke(FunctionName=self.resources[function], Qualifier="live", Payload=json.dumps(sent))
        payload: dict[str, Any] = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, payload
        return payload

    def request(self, function: str, sent: dict[str, Any], key: str) -> tuple[int, dict[str, Any]]:
        """Send a request as API Gateway does: with what authorize returns about the key."""
        allowed = self.call("AuthorizeFunction", authorizer_event(key))
        if not allowed["isAuthorized"]:
            return 403, {}
        sent["requestContext"]["authorizer"] = {"lambda": allowed["context"]}
        answer = self.call(function, sent)
        return answer["statusCode"], json.loads(answer["body"])

    def submit(self, url: str, key: str = KEY) -> tuple[int, dict[str, Any]]:
        body = json.dumps(submission((STORE, [url])))
        return self.request("SubmitFunction", api_event("POST", "/api/submit", body=body), key)

    def status(self, job_id: int) -> dict[str, Any]:
        return self.read(api_event("GET", "/api/status", query={"jobid": str(job_id)}))

    def perimeters(self, job_id: int) -> list[int]:
        sent = api_event("GET", f"/api/jobs/{job_id}/results")
        return [row["perimeter"] for row in self.read(sent)["results"]]

    def read(self, sent: dict[str, Any]) -> dict[str, Any]:
        code, body = self.request("StatusFunction", sent, KEY)
        assert code == 200, body
        return body

    def run_job(self, url: str) -> int:
        """Submit a job with one image, and wait until it is completed."""
        code, body = self.submit(url)
        assert code == 201, body
        job_id = int(body["job_id"])
        wait_until(lambda: self.status(job_id)["status"] != "ongoing", _JOB_SECONDS)
        assert self.status(job_id) == {"status": "completed", "job_id": str(job_id)}
        return job_id

    def environment(self, function: str) -> dict[str, str]:
        found = self._lambda.get_function_configuration(FunctionName=self.resources[function], Qualifier="live")
        variables: dict[str, str] = found["Environment"]["Variables"]
        return variables

    def items(self) -> list[str]:
        """Return every item of the table as a text, sorted."""
        return sorted(map(json.dumps, self._dynamodb.scan(TableName=self.resources["JobsTable"])["Items"]))

    def tags(self) -> dict[str, str]:
        """Return the stack's own tags, which CloudFormation also puts on its resources."""
        (stack,) = self._cloudformation.describe_stacks(StackName=self._name)["Stacks"]
        return {tag["Key"]: tag["Value"] for tag in stack["Tags"]}

    def versions(self, function: str) -> list[str]:
        """Return the numbers of the published versions of a function."""
        found = self._lambda.list_versions_by_function(FunctionName=self.resources[function])["Versions"]
        return [version["Version"] for version in found if version["Version"] != "$LATEST"]

    def is_protected(self) -> bool:
        """Return whether both the stack and the table are."""
        (stack,) = self._cloudformation.describe_stacks(StackName=self._name)["Stacks"]
        table = self._dynamodb.describe_table(TableName=self.resources["JobsTable"])["Table"]
        found = {bool(stack["EnableTerminationProtection"]), bool(table["DeletionProtectionEnabled"])}
        assert len(found) == 1
        return found.pop()


def test_an_update_keeps_jobs_and_keys_and_the_functions_still_work(
    emulator: StackProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.deploy.Build", Packed)
    deployer = Deployer(emulator.endpoint_url, for_the_emulator("prod", tmp_path))
    stack = stack_name("prod")
    with ImageServer() as server:
        image = server.add("/1.jpg", make_image(Format.JPEG, 120, 90))
        deployer.deploy("prod", {}, confirm=False)
        before = Deployed(emulator, stack)
        ApiKeysTable(emulator.client("dynamodb"), before.resources["JobsTable"]).issue(KEY, CLIENT)
        job_id = before.run_job(image)
        assert before.submit(image, key="nobody-has-this-key") == (403, {})
        assert before.perimeters(job_id) == [420]
        assert before.environment("SubmitFunction")["POWERTOOLS_LOG_LEVEL"] == "INFO"
        assert before.is_protected()
        assert before.tags() == {"Project": "retail-pulse", "Stage": "prod"}
        items = before.items()

        # The same again changes nothing, and a parameter reaches the live versions of all functions.
        deployer.deploy("prod", {}, confirm=False)
        assert Deployed(emulator, stack).versions("SubmitFunction") == before.versions("SubmitFunction")
        deployer.deploy("prod", {"LogLevel": "DEBUG", "ReprocessSchedule": "rate(10 minutes)"}, confirm=False)
        after = Deployed(emulator, stack)

        for name in ("JobsTable", "ChunkQueue", "DeadLetterQueue"):
            assert after.resources[name] == before.resources[name]
        assert after.items() == items
        assert after.environment("SubmitFunction")["POWERTOOLS_LOG_LEVEL"] == "DEBUG"
        assert after.is_protected()
        assert after.status(job_id) == {"status": "completed", "job_id": str(job_id)}
        assert after.perimeters(job_id) == [420]
        assert after.run_job(image) != job_id

    # Neither a command nor CloudFormation deletes it.
    with pytest.raises(DeployError, match="by hand"):
        deployer.delete("prod")
    with pytest.raises(ClientError, match="TerminationProtection"):
        emulator.client("cloudformation").delete_stack(StackName=stack)
    assert Deployed(emulator, stack).items()


def test_a_first_deployment_that_fails_leaves_nothing_and_can_be_repeated(
    emulator: StackProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.deploy.Build", Packed)
    monkeypatch.setattr("tools.deploy.stack_name", lambda stage: f"again-{stage}")
    folder = for_the_emulator("prod", tmp_path)
    right = (folder / "template.yaml").read_text(encoding="utf-8")
    body = json.loads(right)
    # GIVEN a template with a resource that fails after the table was made
    body["Resources"]["Broken"] = {
        "Type": "AWS::Lambda::EventInvokeConfig",
        "DependsOn": ["JobsTable", "SubmitFunction"],
        "Properties": {"FunctionName": {"Ref": "SubmitFunction"}, "Qualifier": "nowhere"},
    }
    (folder / "template.yaml").write_text(json.dumps(body), encoding="utf-8")
    tables = emulator.client("dynamodb").list_tables()["TableNames"]
    deployer = Deployer(emulator.endpoint_url, folder)
    with pytest.raises(DeployError, match="`sam deploy` failed"):
        deployer.deploy("prod", {}, confirm=False)

    # THEN it is rolled back with its table, and the next attempt names the command that removes the rest
    (stack,) = emulator.client("cloudformation").describe_stacks(StackName="again-prod")["Stacks"]
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert emulator.client("dynamodb").list_tables()["TableNames"] == tables
    (folder / "template.yaml").write_text(right, encoding="utf-8")
    with pytest.raises(DeployError, match="`make delete STAGE=prod` removes what is left"):
        deployer.deploy("prod", {}, confirm=False)

    # AND after it, the deployment succeeds
    deployer.delete("prod")
    deployer.deploy("prod", {}, confirm=False)
    assert Deployed(emulator, "again-prod").is_protected()


def test_the_output_of_sam_build_is_deployed_and_deleted_with_its_table(emulator: StackProcess) -> None:
    deployer, stack = Deployer(emulator.endpoint_url), stack_name("dev")
    deployer.deploy("dev", {}, confirm=False)

    built = Deployed(emulator, stack)

    assert not built.is_protected()
    assert {name for name in built.resources if name.endswith("Function")} == set(FUNCTIONS.values())
    deployer.delete("dev")
    assert built.resources["JobsTable"] not in emulator.client("dynamodb").list_tables()["TableNames"]
    with pytest.raises(ClientError, match="does not exist"):
        emulator.client("cloudformation").describe_stacks(StackName=stack)


def test_sam_deploy_by_itself_is_refused_and_names_the_command(emulator: StackProcess) -> None:
    command = ["sam", "deploy", "--config-env", "dev", "--no-confirm-changeset"]
    variables = environment(emulator.endpoint_url, emulator.secret)
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode != 0
    assert "must be set by `make deploy`" in done.stdout + done.stderr
