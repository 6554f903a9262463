"""The SAM template as data: as it is written, and with the values of its parameters.

`tools.transform` has the other form: the template that CloudFormation gets.
"""

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse

from local.checkout import TEMPLATE
from local.emulator.emulator import REGION

FUNCTION = "AWS::Serverless::Function"
LAYER = "AWS::Serverless::LayerVersion"
HTTP_API = "AWS::Serverless::HttpApi"
TABLE = "AWS::DynamoDB::Table"
ALARM = "AWS::CloudWatch::Alarm"

# The emulator fails a deployment that has one of these. Nothing refers to them.
_UNKNOWN_TO_THE_EMULATOR = {"AWS::CloudWatch::CompositeAlarm", "AWS::Logs::QueryDefinition"}

# What `make deploy` sets on AWS: these parameters have no defaults.
LOCAL_PARAMETERS = {"Stage": "local", "Release": "0" * 10}
_PSEUDO_PARAMETERS = {"AWS::Region": REGION, "AWS::URLSuffix": "amazonaws.com"}
_SUBSTITUTED = re.compile(r"\$\{([^}]+)\}")

Body = dict[str, Any]


class TemplateError(ValueError):
    """The local stack cannot deploy the template with these parameters."""


@dataclass(frozen=True, slots=True)
class Authorizer:
    """A Lambda authorizer of the API: its name, its function's logical ID, and how long an answer is cached.

    The identity sources are required parts of the request, such as ``$request.header.x-api-key``.
    """

    name: str
    function: str
    identity_sources: tuple[str, ...]
    cache_seconds: int


@dataclass(frozen=True, slots=True)
class Route:
    """A route of the API: its key such as ``GET /api/health``, its function's logical ID, its authorizer's name."""

    key: str
    function: str
    authorizer: str | None


def read(path: Path = TEMPLATE) -> Body:
    """Return a template as it is written, its tags as ``Ref`` and ``Fn::…``."""
    return copy.deepcopy(_parsed(path.read_text(encoding="utf-8")))


@lru_cache(maxsize=4)
def _parsed(text: str) -> Body:
    """Parse a template: a quarter of a second, where a copy takes milliseconds."""
    body: Body = yaml_parse(text)
    return body


def of_type(resources: Body, kind: str) -> dict[str, Body]:
    """Return logical ids and properties of the resources of one type."""
    return {name: each["Properties"] for name, each in resources.items() if each["Type"] == kind}


def for_emulator(body: Body) -> Body:
    """Return a template without what the emulator refuses: queries, composite alarms, and alarms on metric math."""

    def is_supported(resource: Body) -> bool:
        is_math = resource["Type"] == ALARM and "Metrics" in resource["Properties"]
        return resource["Type"] not in _UNKNOWN_TO_THE_EMULATOR and not is_math

    return body | {"Resources": {name: each for name, each in body["Resources"].items() if is_supported(each)}}


def logical_id(reference: Any) -> str:
    """Return the resource that a ``Ref`` or a ``Fn::GetAtt`` names; of a function's alias, the function.

    Raises
    ------
    TemplateError
        When it is neither.
    """
    match reference:
        case {"Ref": str(name)} | {"Fn::GetAtt": [str(name), _]}:
            return name.removesuffix(".Alias")
        case {"Fn::GetAtt": str(path)}:
            return path.split(".", maxsplit=1)[0]
        case _:
            raise TemplateError(f"{reference} does not name a resource")


def default_parameters(declared: Body) -> dict[str, str]:
    """Return the defaults of a template's parameters, and what stands for those that `make deploy` sets."""
    local = {name: value for name, value in LOCAL_PARAMETERS.items() if name in declared}
    return local | {name: str(spec["Default"]) for name, spec in declared.items() if "Default" in spec}


class Template:
    """A parsed template with the values of its parameters, which replace the defaults.

    Raises
    ------
    TemplateError
        For a parameter that the template does not have, or one that has neither a default nor a value.
    """

    def __init__(self, path: Path = TEMPLATE, parameters: Mapping[str, str] | None = None) -> None:
        self.folder = path.parent
        self.body = read(path)
        declared: dict[str, Body] = self.body.get("Parameters", {})
        given = dict(parameters or {})
        if unknown := sorted(given.keys() - declared):
            known = ", ".join(sorted(declared))
            raise TemplateError(f"{path.name} has no parameter {', '.join(unknown)}; it has {known}")
        defaults = default_parameters(declared)
        # CloudFormation reads every scalar of a mapping as a string. The emulator keeps numbers, and a worker does not
        # start with a number in its environment.
        self.body["Mappings"] = _with_strings(self.body.get("Mappings", {}))
        self.parameters: dict[str, str] = defaults | given
        if missing := sorted(declared.keys() - self.parameters):
            raise TemplateError(f"parameter {', '.join(missing)} needs a value")
        self._numbers = {name for name, spec in declared.items() if spec["Type"] == "Number"}
        # The emulator keeps an event source's numbers that come from `!Ref` as strings, and its poller stops when it
        # compares them with numbers.
        for properties in self.resources(FUNCTION).values():
            for event in properties.get("Events", {}).values():
                if event["Type"] == "SQS":
                    event["Properties"] = self._with_numbers(event["Properties"])

    def resources(self, kind: str) -> dict[str, Body]:
        """Return logical ids and properties of the resources of one type, except where a condition does not hold."""
        conditions = self.body.get("Conditions", {})
        made = {
            name: each
            for name, each in self.body["Resources"].items()
            if "Condition" not in each or self.holds(conditions[each["Condition"]])
        }
        return of_type(made, kind)

    def resolve(self, value: Any, resources: Mapping[str, str] | None = None) -> Any:
        """Return a scalar, or the value of a ``Ref``, ``Fn::Sub`` of a text, ``Fn::FindInMap`` or ``Fn::If``.

        `resources` has the values of references to resources, by logical id.
        """
        match value:
            case {"Ref": name}:
                return {**_PSEUDO_PARAMETERS, **self.parameters, **(resources or {})}[name]
            case {"Fn::Sub": str(text)}:
                return _SUBSTITUTED.sub(lambda found: self.resolve({"Ref": found[1]}, resources), text)
            case {"Fn::FindInMap": [mapping, first, second]}:
                return self.body["Mappings"][mapping][self.resolve(first)][self.resolve(second)]
            case {"Fn::If": [condition, yes, no]}:
                return self.resolve(yes if self.holds(self.body["Conditions"][condition]) else no, resources)
        return value

    def holds(self, condition: Body) -> bool:
        """Return whether the parameters meet a condition: ``Fn::Equals``, ``Fn::Not``, ``Fn::And``, or a name."""
        match condition:
            case {"Condition": name}:
                return self.holds(self.body["Conditions"][name])
            case {"Fn::And": conditions}:
                return all(map(self.holds, conditions))
            case {"Fn::Not": [inner]}:
                return not self.holds(inner)
            case {"Fn::Equals": [left, right]}:
                return bool(self.resolve(left) == self.resolve(right))
        raise TemplateError(f"unknown condition: {condition}")

    def environment(self, function: str, resources: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return a function's variables, by the function's logical id.

        `resources` has the values of references to resources; the value of any other is its logical id.
        """
        names = {name: name for name in self.body["Resources"]} | dict(resources or {})
        shared, own = self.body.get("Globals", {}).get("Function", {}), self.resources(FUNCTION)[function]
        variables = [each.get("Environment", {}).get("Variables", {}) for each in (shared, own)]
        return {name: str(self.resolve(value, names)) for name, value in (variables[0] | variables[1]).items()}

    def alias(self) -> str:
        """Return the alias of every function that API Gateway, the queue and the schedule call."""
        name: str = self.body["Globals"]["Function"]["AutoPublishAlias"]
        return name

    def memory_megabytes(self, function: str) -> int:
        """Return the memory of a function, by its logical id."""
        return int(self.resolve(self.resources(FUNCTION)[function]["MemorySize"]))

    def http_api(self) -> str:
        """Return the logical ID of the only HTTP API.

        Raises
        ------
        TemplateError
            The template does not have exactly one.
        """
        found = list(self.resources(HTTP_API))
        if len(found) != 1:
            raise TemplateError(f"the local stack needs exactly one HTTP API; the template has {len(found)}")
        return found[0]

    def authorizers(self) -> list[Authorizer]:
        """Return the API's Lambda authorizers."""
        return [
            Authorizer(
                name,
                logical_id(spec["FunctionArn"]),
                tuple(f"$request.header.{header}" for header in spec["Identity"]["Headers"]),
                int(self.resolve(spec["Identity"].get("ReauthorizeEvery", 0))),
            )
            for name, spec in self._auth().get("Authorizers", {}).items()
        ]

    def routes(self) -> list[Route]:
        """Return one route per ``HttpApi`` event of a function."""
        default = self._auth().get("DefaultAuthorizer")
        routes = []
        for function, properties in self.resources(FUNCTION).items():
            for event in properties.get("Events", {}).values():
                if event["Type"] == "HttpApi":
                    spec = event["Properties"]
                    authorizer = spec.get("Auth", {}).get("Authorizer", default)
                    key = f"{spec['Method'].upper()} {spec['Path']}"
                    routes.append(Route(key, function, None if authorizer == "NONE" else authorizer))
        return routes

    def _auth(self) -> Body:
        auth: Body = self.resources(HTTP_API)[self.http_api()].get("Auth", {})
        return auth

    def _with_numbers(self, value: Any) -> Any:
        if isinstance(value, dict):
            if value.get("Ref") in self._numbers:
                return int(self.parameters[value["Ref"]])
            return {key: self._with_numbers(item) for key, item in value.items()}
        return value


def _with_strings(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _with_strings(item) for key, item in value.items()}
    return [_with_strings(item) for item in value] if isinstance(value, list) else str(value)
