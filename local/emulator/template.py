"""The SAM template as data, for the deployment."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse

FUNCTION = "AWS::Serverless::Function"
LAYER = "AWS::Serverless::LayerVersion"
HTTP_API = "AWS::Serverless::HttpApi"
TABLE = "AWS::DynamoDB::Table"


class TemplateError(ValueError):
    """The local stack cannot deploy the template with these parameters."""


@dataclass(frozen=True, slots=True)
class Authorizer:
    """A Lambda authorizer of the API.

    Attributes
    ----------
    function
        Logical ID of its function.
    identity_sources
        Required parts of the request, such as ``$request.header.x-api-key``.
    cache_seconds
        How long an answer is cached.
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


class Template:
    """A parsed template with the values of its parameters.

    Parameters
    ----------
    path
        The template's file.
    parameters
        Values that replace the template's defaults.

    Raises
    ------
    TemplateError
        A parameter is unknown, or one without a default has no value.
    """

    def __init__(self, path: Path, parameters: Mapping[str, str]) -> None:
        self.folder = path.parent
        self.body: dict[str, Any] = yaml_parse(path.read_text(encoding="utf-8"))
        declared: dict[str, dict[str, Any]] = self.body.get("Parameters", {})
        if unknown := sorted(set(parameters) - set(declared)):
            raise TemplateError(
                f"{path.name} has no parameter {', '.join(unknown)}; it has {', '.join(sorted(declared))}"
            )
        values = {name: str(spec["Default"]) for name, spec in declared.items() if "Default" in spec}
        # CloudFormation reads every scalar of a mapping as a string. The emulator keeps numbers, and a worker with a
        # number in its environment would not start.
        self.body["Mappings"] = _with_strings(self.body.get("Mappings", {}))
        self.parameters: dict[str, str] = values | dict(parameters)
        if missing := sorted(set(declared) - set(self.parameters)):
            raise TemplateError(f"parameter {', '.join(missing)} needs a value")
        self._numbers = {name for name, spec in declared.items() if spec["Type"] == "Number"}
        # The emulator keeps numbers of an event source that come from `!Ref` as strings, and its poller stops when it
        # compares them with numbers.
        for _, properties in self.resources(FUNCTION):
            for event in properties.get("Events", {}).values():
                if event["Type"] == "SQS":
                    event["Properties"] = self._with_numbers(event["Properties"])

    def resources(self, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the logical ID and the properties of every resource of one type."""
        for name, resource in self.body["Resources"].items():
            if resource["Type"] == kind:
                yield name, resource["Properties"]

    def http_api(self) -> str:
        """Return the logical ID of the only HTTP API.

        Raises
        ------
        TemplateError
            The template does not have exactly one.
        """
        found = [name for name, _ in self.resources(HTTP_API)]
        if len(found) != 1:
            raise TemplateError(f"the local stack needs exactly one HTTP API; the template has {len(found)}")
        return found[0]

    def authorizers(self) -> list[Authorizer]:
        """Return the API's Lambda authorizers."""
        return [
            Authorizer(
                name,
                _logical_id(spec["FunctionArn"]),
                tuple(f"$request.header.{header}" for header in spec["Identity"]["Headers"]),
                int(self._value(spec["Identity"].get("ReauthorizeEvery", 0))),
            )
            for name, spec in self._auth().get("Authorizers", {}).items()
        ]

    def routes(self) -> list[Route]:
        """Return one route per ``HttpApi`` event of a function."""
        default = self._auth().get("DefaultAuthorizer")
        routes = []
        for function, properties in self.resources(FUNCTION):
            for event in properties.get("Events", {}).values():
                if event["Type"] == "HttpApi":
                    spec = event["Properties"]
                    authorizer = spec.get("Auth", {}).get("Authorizer", default)
                    key = f"{spec['Method'].upper()} {spec['Path']}"
                    routes.append(Route(key, function, None if authorizer == "NONE" else authorizer))
        return routes

    def _auth(self) -> dict[str, Any]:
        name = self.http_api()
        auth: dict[str, Any] = self.body["Resources"][name]["Properties"].get("Auth", {})
        return auth

    def _with_numbers(self, value: Any) -> Any:
        if isinstance(value, dict):
            if value.get("Ref") in self._numbers:
                return int(self.parameters[value["Ref"]])
            return {key: self._with_numbers(item) for key, item in value.items()}
        return value

    def _value(self, value: Any) -> Any:
        return self.parameters[value["Ref"]] if isinstance(value, dict) else value


def _with_strings(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _with_strings(item) for key, item in value.items()}
    return [_with_strings(item) for item in value] if isinstance(value, list) else str(value)


def _logical_id(reference: dict[str, Any]) -> str:
    attribute = reference["Fn::GetAtt"]
    return str(attribute[0] if isinstance(attribute, list) else attribute.split(".")[0])
