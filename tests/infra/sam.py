"""What the template's tests ask of it: resources by type, values once the parameters are known."""

from collections.abc import Iterator, Mapping
from typing import Any

from tools.transform import ROOT as ROOT
from tools.transform import TEMPLATE as TEMPLATE
from tools.transform import Body as Body
from tools.transform import defaults as defaults
from tools.transform import load as load
from tools.transform import transform as whole_transform

FUNCTION = "AWS::Serverless::Function"
LAYER = "AWS::Serverless::LayerVersion"
LOG_GROUP = "AWS::Logs::LogGroup"
PERMISSION = "AWS::Lambda::Permission"
QUEUE = "AWS::SQS::Queue"
ROLE = "AWS::IAM::Role"


def transform(body: Body, overrides: Mapping[str, Any] | None = None) -> Body:
    """Return the resources that the SAM transform makes of a template with its defaults and overrides."""
    made: Body = whole_transform(body, overrides)["Resources"]
    return made


def resources(body: Body, kind: str) -> dict[str, Body]:
    """Return logical ids and properties of a template's resources of one type."""
    return of_type(body["Resources"], kind)


def of_type(found: Body, kind: str) -> dict[str, Body]:
    """Return logical ids and properties of the resources of one type."""
    return {name: resource["Properties"] for name, resource in found.items() if resource["Type"] == kind}


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
