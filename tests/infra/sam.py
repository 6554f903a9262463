"""What the template's tests ask of it: resources by type, references, scalars and where they are."""

from collections.abc import Iterator, Mapping
from typing import Any

from local.checkout import ROOT as ROOT
from local.checkout import TEMPLATE as TEMPLATE
from local.emulator.template import FUNCTION as FUNCTION
from local.emulator.template import LAYER as LAYER
from local.emulator.template import Body as Body
from local.emulator.template import Template as Template
from local.emulator.template import logical_id as logical_id
from local.emulator.template import of_type as of_type
from local.emulator.template import read as read
from tools import transform as sam_transform

ALIAS = "AWS::Lambda::Alias"
LOG_GROUP = "AWS::Logs::LogGroup"
PERMISSION = "AWS::Lambda::Permission"
QUEUE = "AWS::SQS::Queue"
ROLE = "AWS::IAM::Role"


def transform(body: Body, overrides: Mapping[str, Any] | None = None) -> Body:
    """Return the resources that the SAM transform makes of a template with its defaults and overrides."""
    made: Body = sam_transform.transform(body, overrides)["Resources"]
    return made


def only(resources: Body, kind: str) -> Body:
    """Return the properties of the only resource of a type."""
    (found,) = of_type(resources, kind).values()
    return found


def called(transformed: Body, reference: Any) -> str:
    """Return the function whose alias a reference names; no caller may name the function itself."""
    alias = transformed[logical_id(reference)]
    assert alias["Type"] == ALIAS
    return logical_id(alias["Properties"]["FunctionName"])


def attribute(reference: Any) -> str:
    """Return the attribute that a ``Fn::GetAtt`` asks for; empty for anything else."""
    match reference:
        case {"Fn::GetAtt": [str(), str(name)]}:
            return name
        case {"Fn::GetAtt": str(path)}:
            return path.partition(".")[2]
        case _:
            return ""


def whatever_holds(values: list[Any]) -> list[Any]:
    """Return the items of a list, with those that a condition adds."""
    return [each["Fn::If"][1] if "Fn::If" in each else each for each in values]


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every scalar of nested mappings and lists with its path."""
    match value:
        case dict():
            for key, item in value.items():
                yield from leaves(item, (*path, str(key)))
        case list():
            for number, item in enumerate(value):
                yield from leaves(item, (*path, str(number)))
        case _:
            yield path, value
