"""`make deploy` and `make delete` without AWS: what they check, merge and run; tests/sam runs them with the SAM CLI."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.checkout import TEMPLATE
from local.emulator.template import read
from tools import deploy
from tools.deploy import Deployer, DeployError, assignments, effective, merged, release_of, stack_name
from tools.preflight import Account, Plan, StackState, problems

DECLARED = read()["Parameters"]
DEV = merged("dev", {}, DECLARED, "arm64")
TOPIC = "arn:aws:sns:eu-central-1:123456789012:alarms"
UPDATED = StackState("UPDATE_COMPLETE", {"Stage": "dev"}, {"TableName": "jobs"})


def refusal(text: str) -> ClientError:
    return ClientError({"Error": {"Code": "ValidationError", "Message": text}}, "DescribeStacks")


class Services:
    """The AWS services that the commands call; `calls` has what changed something."""

    def __init__(self, stack: Mapping[str, Any] | None = None, *, free: int = 1000, topic_key: str = "") -> None:
        self.calls: list[tuple[Any, ...]] = []
        self._stack = stack
        self._free, self._topic_key = free, topic_key
        # That of the functions, and that of the stack.
        self.release = self.deployed = ""
        self.is_protected = False
        # The routes with settings of their own in the stage of the API.
        self.settings = ["GET /", "GET /docs"]

    def __call__(self, service: str) -> Any:
        return {
            "cloudformation": SimpleNamespace(
                describe_stacks=self._describe,
                get_paginator=lambda _: SimpleNamespace(paginate=lambda **_: [{"StackResourceSummaries": RESOURCES}]),
                describe_stack_resource=lambda **_: {"StackResourceDetail": {"PhysicalResourceId": "abc123"}},
                update_termination_protection=self._record("protect stack"),
            ),
            "apigatewayv2": SimpleNamespace(
                get_stage=lambda **_: {"RouteSettings": {each: {"ThrottlingRateLimit": 1.0} for each in self.settings}}
            ),
            "dynamodb": SimpleNamespace(
                describe_table=lambda **_: {"Table": {"DeletionProtectionEnabled": self.is_protected}},
                update_table=self._record("update table"),
                delete_table=self._record("delete table"),
            ),
            "lambda": SimpleNamespace(
                get_account_settings=lambda: {"AccountLimit": {"UnreservedConcurrentExecutions": self._free}},
                get_function_configuration=lambda **_: {"Description": f"Reads. {self.release}"},
            ),
            "sns": SimpleNamespace(
                get_topic_attributes=lambda **_: {"Attributes": {"KmsMasterKeyId": self._topic_key}}
            ),
        }[service]

    def _record(self, name: str) -> Any:
        return lambda **arguments: self.calls.append((name, *arguments.values()))

    def _describe(self, StackName: str) -> dict[str, Any]:
        if self._stack is None:
            raise refusal(f"Stack with id {StackName} does not exist")
        release = {"ParameterKey": "Release", "ParameterValue": self.deployed}
        return {"Stacks": [{**self._stack, "Parameters": [*self._stack["Parameters"], release]}]}


RESOURCES = [{"ResourceType": "AWS::Lambda::Function", "LogicalResourceId": "Status", "PhysicalResourceId": "status-1"}]


def stack(status: str = "UPDATE_COMPLETE", stage: str = "dev") -> dict[str, Any]:
    parameters = [{"ParameterKey": "Stage", "ParameterValue": stage}]
    outputs = [{"OutputKey": "TableName", "OutputValue": "jobs"}]
    return {"StackStatus": status, "Parameters": parameters, "Outputs": outputs}


class TestParameters:
    def test_of_samconfig_are_kept_beside_those_that_are_set(self) -> None:
        prod = merged("prod", {"ThrottleRate": "50", "ProcessConcurrency": "20"}, DECLARED, "arm64")
        assert prod["Stage"] == "prod"
        assert (prod["LogRetentionDays"], prod["ProcessConcurrency"], prod["ThrottleRate"]) == ("90", "20", "50")

    def test_of_samconfig_lose_the_release_that_the_template_refuses(self) -> None:
        assert "Release" not in DEV

    def test_have_the_architecture_of_the_build_unless_they_name_one(self) -> None:
        assert merged("dev", {}, DECLARED, "x86_64")["Architecture"] == "x86_64"
        assert merged("dev", {"Architecture": "arm64"}, DECLARED, "x86_64")["Architecture"] == "arm64"

    @pytest.mark.parametrize(
        ("given", "reason"),
        [
            ({"Nonsense": "1"}, "no parameter Nonsense"),
            ({"Stage": "prod"}, "Stage cannot be set"),
            ({"Release": "0123456789"}, "Release cannot be set"),
        ],
    )
    def test_that_cannot_be_set_are_refused(self, given: dict[str, str], reason: str) -> None:
        with pytest.raises(DeployError, match=reason):
            merged("dev", given, DECLARED, "arm64")

    @pytest.mark.parametrize("stage", ["", "default", "production"])
    def test_of_an_unknown_stage_are_refused_with_the_known_ones(self, stage: str) -> None:
        with pytest.raises(DeployError, match="which has dev, prod"):
            stack_name(stage)

    def test_are_read_as_a_shell_does(self) -> None:
        text = 'LogLevel=DEBUG ReprocessSchedule="rate(10 minutes)" ContactUrl=https://a.test/?b=c'
        assert assignments(text) == {
            "LogLevel": "DEBUG",
            "ReprocessSchedule": "rate(10 minutes)",
            "ContactUrl": "https://a.test/?b=c",
        }
        with pytest.raises(DeployError, match="'LogLevel' is not Name=Value"):
            assignments("LogLevel DEBUG")
        with pytest.raises(DeployError, match="quotation mark"):
            assignments('ReprocessSchedule="rate(10 minutes)')

    def test_keep_the_values_of_the_stack_as_sam_deploy_does(self) -> None:
        state = StackState("UPDATE_COMPLETE", {"LogLevel": "DEBUG", "ThrottleRate": "7", "Release": "0", "Gone": "1"})
        values = effective(DECLARED, state, {"ThrottleRate": "8", "Stage": "dev"})
        assert (values["LogLevel"], values["ThrottleRate"], values["ProcessConcurrency"]) == ("DEBUG", "8", "5")
        assert values.keys() == DECLARED.keys() - {"Release"}


class TestTheRelease:
    def test_is_the_same_for_the_same_build_and_values_in_the_form_of_the_template(self, tmp_path: Path) -> None:
        (tmp_path / "app.py").write_text("a", encoding="utf-8")
        first = release_of(tmp_path, {"A": "1", "B": "2"})
        assert first == release_of(tmp_path, {"B": "2", "A": "1"})
        assert len(first) == 10
        assert int(first, 16) >= 0

    def test_changes_with_a_file_its_name_and_a_value(self, tmp_path: Path) -> None:
        path = tmp_path / "app.py"
        path.write_text("a", encoding="utf-8")
        releases = [release_of(tmp_path, {"A": "1"}), release_of(tmp_path, {"A": "2"})]
        path.write_text("b", encoding="utf-8")
        releases.append(release_of(tmp_path, {"A": "1"}))
        path.rename(tmp_path / "other.py")
        releases.append(release_of(tmp_path, {"A": "1"}))
        assert len(set(releases)) == 4


# The change to a deployment of dev that is right, and why it is refused.
WRONG: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "another stage in samconfig": ({"parameters": DEV | {"Stage": "prod"}}, {}, "Stage is prod in samconfig.toml"),
    "a stack of another stage": ({"stack": "retail-pulse-prod"}, {}, "its name must end with -dev"),
    "a stack that was another stage": ({}, {"parameters": {"Stage": "prod"}}, "is the stage prod; an update must not"),
    "a build for another processor": ({"architecture": "x86_64"}, {}, "run `make build ARCHITECTURE=arm64`"),
    "a first deployment that failed": ({}, {"status": "ROLLBACK_COMPLETE"}, "`make delete STAGE=dev` removes"),
    "a rollback that failed": ({}, {"status": "ROLLBACK_FAILED"}, "and so did its rollback"),
    "an update that runs": ({}, {"status": "UPDATE_IN_PROGRESS"}, "another operation runs"),
}


@pytest.mark.parametrize(("plan", "state", "reason"), WRONG.values(), ids=WRONG)
def test_what_would_harm_a_stage_is_refused(plan: dict[str, Any], state: dict[str, Any], reason: str) -> None:
    right: dict[str, Any] = {"stage": "dev", "stack": "retail-pulse-dev", "parameters": DEV, "architecture": "arm64"}
    before: dict[str, Any] = {"status": "UPDATE_COMPLETE", "parameters": {"Stage": "dev"}} | state
    values = effective(DECLARED, UPDATED, DEV)
    assert list(problems(Plan(**right), UPDATED, Account(Services()), values)) == []
    (found,) = problems(Plan(**right | plan), StackState(**before), Account(Services()), values)
    assert reason in found


@pytest.mark.parametrize(
    ("free", "concurrency", "fits"), [(10, 5, True), (10, 6, False), (54, 50, False), (55, 50, True)]
)
def test_more_functions_at_once_than_the_account_has_are_refused(free: int, concurrency: int, *, fits: bool) -> None:
    plan = Plan("dev", "retail-pulse-dev", DEV, "arm64")
    values = effective(DECLARED, UPDATED, DEV | {"ProcessConcurrency": str(concurrency)})
    found = list(problems(plan, UPDATED, Account(Services(free=free)), values))
    assert bool(found) is not fits
    assert fits or f"the account may run {free} functions at once" in found[0]


@pytest.mark.parametrize(
    ("key", "works"),
    [("", True), ("alias/aws/sns", False), ("arn:aws:kms:eu-central-1:1:alias/aws/sns", False), ("1234-abcd", True)],
)
def test_a_topic_that_no_alarm_can_notify_is_refused(key: str, *, works: bool) -> None:
    values = effective(DECLARED, UPDATED, DEV | {"AlarmTopicArn": TOPIC})
    plan = Plan("dev", "retail-pulse-dev", DEV, "arm64")
    found = list(problems(plan, UPDATED, Account(Services(topic_key=key)), values))
    assert bool(found) is not works
    assert works or "use a key of your own that allows cloudwatch.amazonaws.com" in found[0]


@pytest.mark.parametrize(("code", "known"), [("AuthorizationError", False), ("NotFound", True)])
def test_a_topic_that_does_not_exist_is_refused_but_not_one_that_cannot_be_read(code: str, *, known: bool) -> None:
    def attributes(**_: Any) -> None:
        raise ClientError({"Error": {"Code": code, "Message": "Topic"}}, "GetTopicAttributes")

    services = Services()
    topics = SimpleNamespace(get_topic_attributes=attributes)
    account = Account(lambda name: topics if name == "sns" else services(name))
    values = effective(DECLARED, UPDATED, DEV | {"AlarmTopicArn": TOPIC})
    found = list(problems(Plan("dev", "retail-pulse-dev", DEV, "arm64"), UPDATED, account, values))
    assert [text.partition(":")[0] for text in found] == ["AlarmTopicArn"] * known


class Build:
    """A correct build for arm64."""

    wrong: tuple[str, ...] = ()

    def __init__(self, _: Path) -> None: ...

    def architecture(self) -> str:
        return "arm64"

    def faults(self, _: str) -> tuple[str, ...]:
        return self.wrong


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch) -> Services:
    """An account with a stack of dev."""
    found = Services(stack())
    monkeypatch.setattr("tools.deploy.Account", lambda: Account(found))
    return found


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the output of `sam build`."""
    (tmp_path / "template.yaml").write_bytes(TEMPLATE.read_bytes())
    monkeypatch.setattr("tools.deploy.Build", Build)
    return tmp_path


@pytest.fixture
def commands(services: Services, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What was run; a deployment gives the functions the release."""
    run: list[list[str]] = []

    def record(command: tuple[str, ...], **_: Any) -> "subprocess.CompletedProcess[str]":
        run.append(list(command))
        release = [part.split('"')[1] for part in command if part.startswith("Release=")]
        services.release = services.deployed = "".join(release) or services.release
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr("subprocess.run", record)
    return run


class TestTheCommands:
    def test_deploy_gives_sam_all_parameters_and_a_release(
        self, services: Services, built: Path, commands: list[list[str]]
    ) -> None:
        Deployer(build=built).deploy("dev", {"ReprocessSchedule": "rate(10 minutes)"}, confirm=False)
        (command,) = commands
        assert command[:2] == ["sam", "deploy"]
        assert command[command.index("--config-env") + 1] == "dev"
        assert "--no-confirm-changeset" in command
        passed = command[command.index("--parameter-overrides") + 1 :]
        assert {'Stage="dev"', 'LogLevel="DEBUG"', 'ReprocessSchedule="rate(10 minutes)"'} <= set(passed)
        assert services.calls == []

    def test_deploy_protects_the_stack_and_the_table_of_prod(
        self, services: Services, built: Path, commands: list[list[str]]
    ) -> None:
        services._stack = stack(stage="prod")
        Deployer(build=built).deploy("prod", {})
        assert "--no-confirm-changeset" not in commands[0]
        assert services.calls == [
            ("protect stack", "retail-pulse-prod", True),
            ("update table", "jobs", True),
        ]
        services.calls, services.is_protected = [], True
        Deployer(build=built).deploy("prod", {})
        assert services.calls == [("protect stack", "retail-pulse-prod", True)]

    def test_deploy_fails_when_a_function_kept_its_old_version(
        self, services: Services, built: Path, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Services, "release", property(lambda _: "0" * 10, lambda *_: None), raising=False)
        with pytest.raises(DeployError, match="Status: the alias live has no version of release"):
            Deployer(build=built).deploy("dev", {})

    def test_deploy_protects_nothing_when_nobody_confirms(
        self, services: Services, built: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Check a first deployment, whose stack is then only a review; `sam deploy` reports no error."""
        services._stack = stack("REVIEW_IN_PROGRESS", "prod") | {"Outputs": []}
        monkeypatch.setattr("subprocess.run", lambda command, **_: subprocess.CompletedProcess(command, 0))
        with pytest.raises(DeployError, match="the change set was not confirmed, so nothing was deployed"):
            Deployer(build=built).deploy("prod", {})
        assert services.calls == []

    def test_deploy_refuses_to_remove_a_route_whose_settings_api_gateway_would_keep(
        self, services: Services, built: Path, commands: list[list[str]]
    ) -> None:
        """API Gateway refuses the stage then: https://github.com/aws/serverless-application-model/issues/1939."""
        with pytest.raises(DeployError, match=r"delete-route-settings --api-id abc123 .* --route-key 'GET /'$"):
            Deployer(build=built).deploy("dev", {"Console": "off"})
        assert commands == []
        services.settings.remove("GET /")
        Deployer(build=built).deploy("dev", {"Console": "off"})
        assert len(commands) == 1

    def test_deploy_runs_nothing_when_a_check_fails(
        self, services: Services, built: Path, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Build, "wrong", ("Packages: fast.so is not a library for Linux",))
        with pytest.raises(DeployError, match="not a library for Linux"):
            Deployer(build=built).deploy("dev", {})
        assert commands == []

    def test_deploy_needs_the_sam_cli(self, services: Services, built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(built))
        with pytest.raises(DeployError, match="`make sam-cli` installs it"):
            Deployer(build=built).deploy("dev", {})

    def test_deploy_needs_a_build(self, services: Services, tmp_path: Path) -> None:
        with pytest.raises(DeployError, match="run `make build`"):
            Deployer(build=tmp_path).deploy("dev", {})

    def test_delete_removes_the_stack_and_then_its_table(self, services: Services, commands: list[list[str]]) -> None:
        Deployer().delete("dev")
        assert commands == [["sam", "delete", "--stack-name", "retail-pulse-dev", "--no-prompts"]]
        assert services.calls == [("delete table", "jobs")]

    def test_delete_refuses_prod_unless_its_first_deployment_failed(
        self, services: Services, commands: list[list[str]]
    ) -> None:
        services._stack = stack(stage="prod")
        with pytest.raises(DeployError, match="by hand"):
            Deployer().delete("prod")
        assert commands == []
        services._stack = stack("ROLLBACK_COMPLETE", "prod") | {"Outputs": []}
        Deployer().delete("prod")
        assert len(commands) == 1
        assert services.calls == []

    def test_delete_names_a_stack_that_does_not_exist(
        self, services: Services, capsys: pytest.CaptureFixture[str]
    ) -> None:
        services._stack = None
        assert deploy.main(["delete", "dev", "--yes"]) == 1
        assert capsys.readouterr().err == "delete failed: no such stack: retail-pulse-dev\n"

    def test_delete_asks_first(
        self, services: Services, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("builtins.input", lambda _: "n")
        assert deploy.main(["delete", "dev"]) == 1
        assert commands == []
