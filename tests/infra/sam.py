"""The template as data: as it is written, and as CloudFormation gets it from the SAM transform, without AWS."""

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from samtranslator.translator.transform import transform as sam_transform
from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "infra" / "template.yaml"

FUNCTION = "AWS::Serverless::Function"
LAYER = "AWS::Serverless::LayerVersion"
LOG_GROUP = "AWS::Logs::LogGroup"
PERMISSION = "AWS::Lambda::Permission"
QUEUE = "AWS::SQS::Queue"
ROLE = "AWS::IAM::Role"

Body = dict[str, Any]


class _NoManagedPolicies:
    """Stands in for the loader that asks IAM for its managed policies; the template names none."""

    def load(self) -> dict[str, str]:
        raise AssertionError("the template names a managed policy; write out what the function needs")


def load() -> Body:
    """Return the template as it is written, its tags as ``Ref`` and ``Fn::…``."""
    body: Body = yaml_parse(TEMPLATE.read_text(encoding="utf-8"))
    return body


def transform(body: Body, overrides: Mapping[str, Any] | None = None) -> Body:
    """Return the resources that the SAM transform makes of a template with its defaults and overrides."""
    packaged = copy.deepcopy(body)
    for resource in packaged["Resources"].values():
        for name in {"CodeUri", "ContentUri"} & resource["Properties"].keys():
            resource["Properties"][name] = "s3://bucket/key"
    with pytest.MonkeyPatch.context() as patch:
        # The transform asks boto3 where it is; whatever this machine is set up for must not matter.
        patch.delenv("AWS_PROFILE", raising=False)
        patch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        resources: Body = sam_transform(packaged, defaults(body) | dict(overrides or {}), _NoManagedPolicies())[
            "Resources"
        ]
    return resources


def resources(body: Body, kind: str) -> dict[str, Body]:
    """Return logical ids and properties of a template's resources of one type."""
    return of_type(body["Resources"], kind)


def of_type(found: Body, kind: str) -> dict[str, Body]:
    """Return logical ids and properties of the resources of one type."""
    return {name: resource["Properties"] for name, resource in found.items() if resource["Type"] == kind}


def defaults(body: Body) -> dict[str, Any]:
    """Return the parameters' defaults."""
    return {name: spec["Default"] for name, spec in body["Parameters"].items()}


def resolve(body: Body, value: Any, parameters: Mapping[str, Any]) -> Any:
    """Return what a value is once the parameters are known.

    A reference to a resource stays what it is.
    """
    match value:
        case {"Ref": name} if name in body["Parameters"]:
            return parameters[name]
        case {"Fn::FindInMap": [mapping, *keys]}:
            top, second = (str(resolve(body, key, parameters)) for key in keys)
            return body["Mappings"][mapping][top][second]
        case {"Fn::If": [condition, yes, no]}:
            return resolve(body, yes if holds(body, body["Conditions"][condition], parameters) else no, parameters)
        case _:
            return value


def holds(body: Body, condition: Any, parameters: Mapping[str, Any]) -> bool:
    """Return whether a condition of the template is met by the parameters."""
    match condition:
        case {"Fn::Equals": [left, right]}:
            return bool(resolve(body, left, parameters) == resolve(body, right, parameters))
        case {"Fn::Not": [inner]}:
            return not holds(body, inner, parameters)
        case _:
            raise AssertionError(f"no condition that is known here: {condition}")


def logical_id(reference: Any) -> str:
    """Return whom a ``Ref`` or a ``Fn::GetAtt`` names."""
    match reference:
        case {"Ref": str(name)} | {"Fn::GetAtt": [str(name), _]}:
            return name
        case {"Fn::GetAtt": str(path)}:
            return path.split(".", maxsplit=1)[0]
        case _:
            raise AssertionError(f"{reference} names no resource")


def attribute(reference: Any) -> str:
    """Return which attribute a ``Fn::GetAtt`` asks for; empty for anything else."""
    match reference:
        case {"Fn::GetAtt": [str(), str(name)]}:
            return name
        case {"Fn::GetAtt": str(path)}:
            return path.partition(".")[2]
        case _:
            return ""


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every scalar of nested mappings and lists with the way to it."""
    match value:
        case dict():
            for key, item in value.items():
                yield from leaves(item, (*path, str(key)))
        case list():
            for number, item in enumerate(value):
                yield from leaves(item, (*path, str(number)))
        case _:
            yield path, value
