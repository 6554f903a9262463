"""The commands of the pages: make targets, AWS operations and resources that they name exist."""

import re
from collections.abc import Iterator
from functools import cache

import botocore.session
import pytest
from botocore import xform_name

from local.checkout import ROOT
from tests.infra import sam
from tests.support.checkout import tracked_files

PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PAGES = [page for page in tracked_files("*.md") if page.name != "CHANGELOG.md"]
# What the AWS CLI has for every operation.
GLOBAL = {"output", "query", "region"}
_CODE = re.compile(r"^ *```\w*\n(.*?)^ *```$|`([^`\n]+)`", re.MULTILINE | re.DOTALL)
_MAKE = re.compile(r"(?:^|[|&;(]\s*)make ([a-z][a-z-]*)((?: [A-Z_]+=(?:\"[^\"]*\"|'[^']*'|\S+))*)", re.MULTILINE)
# Functions that the page defines.
_HELPER = re.compile(r"\$\((?:output|resource) \w+\)")
_AWS = re.compile(r"aws ([a-z0-9]+) ([a-z-]+)((?:\\\n|[^$)\n]|\$(?!\(aws))*)")


def code(text: str) -> list[str]:
    """Return the blocks and spans of code of a page."""
    return [block or span for block, span in _CODE.findall(text)]


def commands() -> Iterator[tuple[str, str, str]]:
    """Yield service, operation and arguments of each command of the AWS CLI on any page."""
    for page in PAGES:
        for part in code(page.read_text(encoding="utf-8")):
            yield from _AWS.findall(_HELPER.sub("X", part))


@cache
def model(service: str) -> botocore.model.ServiceModel:
    return botocore.session.get_session().get_service_model(service)


def problems(service: str, operation: str, arguments: str) -> list[str]:
    """Return what the AWS CLI would not know of a command."""
    session = botocore.session.get_session()
    if service not in session.get_available_services():
        return [f"no service {service}"]
    if operation == "wait":
        waiters = session.get_service_model(service), session.get_waiter_model(service).waiter_names
        name = arguments.split()[0]
        return [] if name in {xform_name(each, "-") for each in waiters[1]} else [f"no waiter {service} {name}"]
    operations = {xform_name(name, "-"): name for name in model(service).operation_names}
    if operation not in operations:
        return [f"no operation {service} {operation}"]
    shape = model(service).operation_model(operations[operation]).input_shape
    members = shape.members if shape else {}
    options = {xform_name(name, "-") for name in members}
    options |= {f"no-{xform_name(name, '-')}" for name, each in members.items() if each.type_name == "boolean"}
    used = set(re.findall(r"--([a-z0-9-]+)", arguments))
    given = used | {option.removeprefix("no-") for option in used}
    # A text may name an operation without arguments, or with some of them and dots.
    is_whole = used and "…" not in arguments
    missing = {xform_name(name, "-") for name in shape.required_members} - given if shape and is_whole else set()
    return [f"{service} {operation} --{option}" for option in sorted(used - options - GLOBAL)] + [
        f"{service} {operation} lacks --{option}" for option in sorted(missing)
    ]


def test_functions_are_invoked_by_their_alias() -> None:
    """Check the pages, since `$LATEST` may be half of an update."""
    invocations = [arguments for _, operation, arguments in set(commands()) if operation == "invoke"]
    assert invocations
    assert all(f"--qualifier {sam.Template().alias()} " in arguments for arguments in invocations)


def test_the_pages_have_commands() -> None:
    assert len(set(commands())) > 20


def test_every_aws_command_exists_with_its_options() -> None:
    assert [problem for command in commands() for problem in problems(*command)] == []


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("aws function invoke --function-name f", ["no service function"]),
        ("aws lambda run --function-name f", ["no operation lambda run"]),
        ("aws lambda invoke --name f", ["lambda invoke --name", "lambda invoke lacks --function-name"]),
        ("aws dynamodb wait table-ready --table-name t", ["no waiter dynamodb table-ready"]),
        ("aws sqs purge-queue --queue-url u --output text", []),
    ],
)
def test_a_wrong_command_is_found(command: str, found: list[str]) -> None:
    ((service, operation, arguments),) = _AWS.findall(command)
    assert problems(service, operation, arguments) == found


def test_every_make_target_exists_and_takes_the_variables() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE))
    wrong = []
    for page in PAGES:
        for part in code(page.read_text(encoding="utf-8")):
            for target, variables in _MAKE.findall(part):
                names = re.findall(r" ([A-Z_]+)=", variables)
                if target not in targets or any(f"$({name})" not in MAKEFILE for name in names):
                    wrong.append(f"{page.name}: make {target}{variables}")
    assert wrong == []


def test_named_outputs_and_resources_exist() -> None:
    template = sam.read()
    resources = sam.transform(template)
    outputs = set(re.findall(r"\$\(output (\w+)\)", PAGE))
    assert outputs
    assert outputs <= set(template["Outputs"])
    named = set(re.findall(r"\$\(resource (\w+)\)", PAGE))
    assert {"ProcessFunctionChunks", "ReprocessFunctionSchedule"} <= named
    assert named <= set(resources)


def test_every_alarm_has_an_entry_that_says_what_it_means_and_what_to_do() -> None:
    alarms = [name for name, each in sam.read()["Resources"].items() if each["Type"].endswith("Alarm")]
    entries = dict(re.findall(r"^### (\w+Alarm)\n(.*?)(?=^##)", PAGE, re.MULTILINE | re.DOTALL))
    assert set(alarms) <= set(entries)
    for name, text in entries.items():
        assert "**Means**: " in text, name
        assert re.search(r"\*\*(Look and do|Do)\*\*: ", text), name


def test_a_parameter_that_the_page_names_exists() -> None:
    known = set(sam.read()["Parameters"])
    assert {"ProcessConcurrency", "ThrottleRate", "AuthorizerCacheSeconds"} <= known & set(re.findall(r"`(\w+)`", PAGE))
