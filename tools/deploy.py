"""Deploy or delete a stage: ``python -m tools.deploy deploy STAGE`` runs `sam deploy` with checks before and after it.

``make deploy`` and ``make delete`` run it. `sam deploy` replaces the parameters of samconfig.toml by those of its
command line; here they are merged. It also computes `Release`, without which functions would get no new versions.
"""

import argparse
import hashlib
import json
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.checkout import ROOT
from local.emulator import clients
from local.emulator.template import Body, Template, TemplateError, for_emulator, read
from local.sam.environment import environment
from local.stack.shell_file import NoStackError, find_secret
from tools.artefacts import Build, BuildError
from tools.preflight import Account, Plan, StackState, problems, route_problems

BUILD = ROOT / ".aws-sam" / "build"
# What `make deploy` computes or takes from the stage.
_NOT_SET = ("Release", "Stage")
# The stage that no command deletes, and that is protected after each deployment.
PROTECTED = "prod"
_HASH_LENGTH = 10


class DeployError(RuntimeError):
    """The stage cannot be deployed or deleted; the text says why, one line for each reason."""


class Deployer:
    """Deploys and deletes stages of samconfig.toml.

    Parameters
    ----------
    url
        The embedded stack's URL, instead of AWS.
    build
        The folder that `sam build` has made.
    """

    def __init__(self, url: str | None = None, build: Path = BUILD) -> None:
        self._build = build
        self._environment: dict[str, str] | None = None
        self._account = Account()
        if url:
            # The embedded stack has its own credentials; those of AWS must not reach it.
            secret = find_secret(url)
            self._environment = environment(url, secret)
            self._account = Account(partial(clients.client, endpoint_url=url, secret=secret))

    def deploy(self, stage: str, given: Mapping[str, str], *, confirm: bool = True) -> None:
        """Deploy the build as a stage, with `given` parameters besides those of samconfig.toml.

        Raises
        ------
        DeployError
            A check fails, `sam deploy` fails, nobody confirms it, or a function does not run the new version then.
        """
        if not (self._build / "template.yaml").is_file():
            raise DeployError(f"no build in {self._build}: run `make build`")
        build, declared = Build(self._build), read(self._build / "template.yaml")["Parameters"]
        architecture = build.architecture()
        plan = Plan(stage, stack_name(stage), merged(stage, given, declared, architecture), architecture)
        state = self._account.stack(plan.stack)
        values = effective(declared, state, plan.parameters)
        found = [*problems(plan, state, self._account, values), *build.faults(architecture)]
        if state.status and not found:
            routes = {route.key for route in Template(self._build / "template.yaml", values).routes()}
            found.extend(route_problems(plan.stack, routes, self._account))
        if found:
            raise DeployError("\n".join(found))
        release = release_of(self._build, values)
        print(f"Deploying {plan.stack} for {architecture}, release {release}", flush=True)
        self._sam_deploy(plan, release, confirm=confirm)
        # `sam deploy` also ends without an error when its question is answered with no.
        if self._account.stack(plan.stack).parameters.get("Release") != release:
            raise DeployError("the change set was not confirmed, so nothing was deployed")
        self._check_versions(plan.stack, release)
        if stage == PROTECTED:
            self._protect(plan.stack)

    def delete(self, stage: str) -> None:
        """Delete the stack of a stage and the table that it leaves.

        Raises
        ------
        DeployError
            The stack does not exist, or the stage is the protected one.
        """
        stack = stack_name(stage)
        state = self._account.stack(stack)
        if not state.status:
            raise DeployError(f"no such stack: {stack}")
        # After a first deployment that failed, there is nothing to protect, and the stack can only be deleted.
        if stage == PROTECTED and state.status != "ROLLBACK_COMPLETE":
            raise DeployError(f"the stage {PROTECTED} is deleted by hand: docs/deployment.md#delete-a-stage says how")
        self._run("sam", "delete", "--stack-name", stack, "--no-prompts")
        if table := state.outputs.get("TableName"):
            self._account.client("dynamodb").delete_table(TableName=table)
        print(f"Deleted {stack}" + (f" and table {table}" if table else ""))

    def _sam_deploy(self, plan: Plan, release: str, *, confirm: bool) -> None:
        overrides = dict(plan.parameters) | {"Release": release}
        config = ("--config-file", str(ROOT / "samconfig.toml"), "--config-env", plan.stage)
        how = ("--no-fail-on-empty-changeset", *(() if confirm else ("--no-confirm-changeset",)))
        values = (f"{name}={_quoted(value)}" for name, value in sorted(overrides.items()))
        with self._template() as template:
            what = ("--stack-name", plan.stack, "--template-file", str(template))
            self._run("sam", "deploy", *config, *what, *how, "--parameter-overrides", *values)

    @contextmanager
    def _template(self) -> Iterator[Path]:
        """Yield the built template; for the embedded stack, one without what it does not support."""
        built = self._build / "template.yaml"
        if self._environment is None:
            yield built
            return
        # Next to the built one, since it refers to the built folders.
        supported = self._build / "for-emulator.json"
        supported.write_text(json.dumps(for_emulator(read(built))), encoding="utf-8")
        try:
            yield supported
        finally:
            supported.unlink()

    def _run(self, *command: str) -> None:
        try:
            done = subprocess.run(command, cwd=ROOT, env=self._environment, check=False)
        except FileNotFoundError as error:
            raise DeployError("`sam` is not on PATH; `make sam-cli` installs it in .sam/path") from error
        if done.returncode:
            raise DeployError(f"`{' '.join(command[:2])}` failed")

    def _check_versions(self, stack: str, release: str) -> None:
        """Check that the alias of every function leads to a version of this release."""
        pages = self._account.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack)
        resources = [each for page in pages for each in page["StackResourceSummaries"]]
        functions = self._account.client("lambda")
        alias = Template(self._build / "template.yaml").alias()
        for each in resources:
            if each["ResourceType"] == "AWS::Lambda::Function":
                live = functions.get_function_configuration(FunctionName=each["PhysicalResourceId"], Qualifier=alias)
                if not live["Description"].endswith(release):
                    raise DeployError(
                        f"{each['LogicalResourceId']}: the alias {alias} has no version of release {release}"
                    )

    def _protect(self, stack: str) -> None:
        self._account.client("cloudformation").update_termination_protection(
            StackName=stack, EnableTerminationProtection=True
        )
        table = self._account.stack(stack).outputs["TableName"]
        tables = self._account.client("dynamodb")
        # DynamoDB refuses some updates that change nothing, and does not say whether this is one of them.
        if not tables.describe_table(TableName=table)["Table"].get("DeletionProtectionEnabled"):
            tables.update_table(TableName=table, DeletionProtectionEnabled=True)
        print(f"Stack {stack} and table {table} are protected from deletion")


def _settings(stage: str, command: str) -> dict[str, Any]:
    config = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))
    stages = sorted(config.keys() - {"version", "default"})
    if stage not in stages:
        raise DeployError(f"{stage or 'STAGE'} is not a stage of samconfig.toml, which has {', '.join(stages)}")
    found: dict[str, Any] = config[stage][command]["parameters"]
    return found


def stack_name(stage: str) -> str:
    """Return the name of a stage's stack."""
    return str(_settings(stage, "global")["stack_name"])


def merged(stage: str, given: Mapping[str, str], declared: Body, architecture: str) -> dict[str, str]:
    """Return the parameters of samconfig.toml, except `Release`, with those that are given instead.

    The architecture is that of the build, unless one of them names it.
    """
    if unknown := sorted(given.keys() - declared.keys()):
        raise DeployError(f"the template has no parameter {', '.join(unknown)}")
    if fixed := sorted(given.keys() & set(_NOT_SET)):
        raise DeployError(f"{', '.join(fixed)} cannot be set: the stage and the build decide")
    pairs = assignments(_settings(stage, "deploy").get("parameter_overrides", ""))
    return {"Architecture": architecture} | {name: pairs[name] for name in pairs if name != "Release"} | dict(given)


def assignments(text: str) -> dict[str, str]:
    """Return the parameters of a text such as ``Name=Value Other="two words"``."""
    try:
        pairs = [part.partition("=") for part in shlex.split(text)]
    except ValueError as error:
        raise DeployError(f"{text!r} has a quotation mark too few or too many: {error}") from error
    if wrong := [name for name, equals, _ in pairs if not name or not equals]:
        raise DeployError(f"{wrong[0]!r} is not Name=Value")
    return {name: value for name, _, value in pairs}


def effective(declared: Body, state: StackState, chosen: Mapping[str, str]) -> dict[str, str]:
    """Return the value of every parameter but `Release`: chosen, else as the stack has it, else the default.

    `sam deploy` keeps the values of an existing stack, also if the template has a new default.
    """
    defaults = {name: str(spec["Default"]) for name, spec in declared.items() if "Default" in spec}
    kept = {name: state.parameters[name] for name in declared if name in state.parameters}
    return {name: value for name, value in (defaults | kept | dict(chosen)).items() if name != "Release"}


def release_of(build: Path, values: Mapping[str, str]) -> str:
    """Return a hash of all files of a build and of all parameters: the same ones are the same release."""
    digest = hashlib.sha256(repr(sorted(values.items())).encode())
    for path in sorted(path for path in build.rglob("*") if path.is_file()):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(build).as_posix()} {content}\n".encode())
    return digest.hexdigest()[:_HASH_LENGTH]


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _answer(question: str) -> str:
    """Return what the user types; nothing where there is no terminal."""
    try:
        return input(question).strip().lower()
    except EOFError:
        return ""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.deploy", description=(__doc__ or "").splitlines()[0])
    where = argparse.ArgumentParser(add_help=False)
    where.add_argument("stage", help="a stage of samconfig.toml, such as dev")
    where.add_argument("--url", help="the embedded stack's URL, such as http://127.0.0.1:8080, instead of AWS")
    where.add_argument("--yes", action="store_true", help="do not ask before changing or deleting anything")
    commands = parser.add_subparsers(dest="command", required=True)
    deploying = commands.add_parser("deploy", parents=[where], help="deploy the build")
    deploying.add_argument("--set", default="", help='parameters, such as "LogLevel=DEBUG ThrottleRate=50"')
    commands.add_parser("delete", parents=[where], help="delete the stack and its table")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        deployer = Deployer(options.url)
        if options.command == "deploy":
            deployer.deploy(options.stage, assignments(options.set), confirm=not options.yes)
        elif options.yes or _answer(f"Delete the stage {options.stage} with all its jobs and keys? [y/N] ") == "y":
            deployer.delete(options.stage)
        else:
            print("Nothing was deleted", file=sys.stderr)
            return 1
    except (DeployError, BuildError, TemplateError, NoStackError, ClientError, BotoCoreError) as error:
        print(f"{options.command} failed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
