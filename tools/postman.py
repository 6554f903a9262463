"""Writes the Postman collection of docs/postman from docs/openapi.json and docs/postman/source.yaml.

``python -m tools.postman`` writes it, ``--check`` compares instead.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import yaml

from local.checkout import ROOT
from tools.generated import write_or_check

DOCS = ROOT / "docs"
FILE = DOCS / "postman" / "retail-pulse.postman_collection.json"
_SCHEMA = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
_METHODS = ("get", "post", "put", "patch", "delete")
# What a schema has for people. The sandbox would refuse formats that it does not know.
_FOR_PEOPLE = {"title", "description", "example", "examples", "default", "format", "discriminator"}
# The example of the description has this base; the collection has a variable for it.
_EXAMPLE_IMAGES = "https://www.gstatic.com/webp/gallery"

Json = dict[str, Any]


class SourceError(ValueError):
    """source.yaml names an operation or a status that the description does not have."""


def collection() -> Json:
    """Return the collection, in Postman's format 2.1.

    Raises
    ------
    SourceError
        The hand-written part does not fit the description.
    """
    document = json.loads((DOCS / "openapi.json").read_text(encoding="utf-8"))
    source = yaml.safe_load((DOCS / "postman" / "source.yaml").read_text(encoding="utf-8"))
    operations = {f"{each['method']} {each['path']}": each for each in _operations(inlined(document, document))}
    return {
        "info": {"name": document["info"]["title"], "description": source["description"], "schema": _SCHEMA},
        "auth": _auth("{{apiKey}}"),
        "variable": [{"key": name, "value": value, "type": "string"} for name, value in source["variables"].items()],
        "item": [*_written_folders(source, operations), *_folders_by_tag(document, source, operations)],
    }


def _written_folders(source: Json, operations: Mapping[str, Json]) -> Iterator[Json]:
    for folder in source["folders"]:
        items = []
        for request in folder["requests"]:
            if request["operation"] not in operations:
                raise SourceError(f"{request['operation']} is not an operation of the description")
            items.append(_item(request, operations[request["operation"]], source["values"]))
        yield {"name": folder["name"], "description": folder["description"], "item": items}


def _folders_by_tag(document: Json, source: Json, operations: Mapping[str, Json]) -> Iterator[Json]:
    about = {tag["name"]: tag.get("description", "") for tag in document.get("tags", ())}
    folders: dict[str, list[Json]] = {name: [] for name in about}
    for name, operation in operations.items():
        request = {"name": operation["summary"]} | source["operations"].get(name, {})
        tag = operation.get("tags", ["Other"])[0]
        folders.setdefault(tag, []).append(_item(request, operation, source["values"]))
    for name, items in folders.items():
        if items:
            yield {"name": name, "description": about.get(name, ""), "item": items}


def _operations(document: Json) -> Iterator[Json]:
    """Yield every operation with its method, path, parameters and whether it needs a key."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method in _METHODS:
                parameters = [*methods.get("parameters", ()), *operation.get("parameters", ())]
                needs_key = bool(operation.get("security", document["security"]))
                own = {"method": method.upper(), "path": path, "parameters": parameters, "needs_key": needs_key}
                yield operation | own


def inlined(node: Any, document: Json) -> Any:
    """Return a part of the description with what its references lead to in their place."""
    if isinstance(node, list):
        return [inlined(each, document) for each in node]
    if not isinstance(node, dict):
        return node
    rest = {name: inlined(value, document) for name, value in node.items() if name != "$ref"}
    if not isinstance(node.get("$ref"), str):
        return rest
    found: Any = document
    for part in node["$ref"].removeprefix("#/").split("/"):
        found = found[part.replace("~1", "/").replace("~0", "~")]
    return inlined(found, document) | rest


def _auth(key: str) -> Json:
    if not key:
        return {"type": "noauth"}
    pairs = {"key": "x-api-key", "value": key, "in": "header"}
    return {"type": "apikey", "apikey": [{"key": k, "value": v, "type": "string"} for k, v in pairs.items()]}


def _item(request: Json, operation: Json, values: Mapping[str, str]) -> Json:
    """Return a request with its checks."""
    sent: Json = {
        "method": operation["method"],
        "header": [_parameter(each, values) for each in operation["parameters"] if each["in"] == "header"],
        "url": _url(request, operation, values),
        "description": operation.get("description", operation["summary"]),
    }
    if not operation["needs_key"] or "key" in request:
        sent["auth"] = _auth(request.get("key", ""))
    body = request.get(
        "body", _example(operation.get("requestBody", {}).get("content", {}).get("application/json", {}))
    )
    if body is not None:
        text = json.dumps(body, indent=2, ensure_ascii=False).replace(_EXAMPLE_IMAGES, "{{images}}")
        sent["body"] = {"mode": "raw", "raw": text, "options": {"raw": {"language": "json"}}}
        sent["header"].insert(0, {"key": "Content-Type", "value": "application/json"})
    script = [*_checks(request, operation), *request.get("script", "").splitlines()]
    event = {"listen": "test", "script": {"type": "text/javascript", "exec": script}}
    return {"name": request["name"], "event": [event], "request": sent, "response": []}


def _url(request: Json, operation: Json, values: Mapping[str, str]) -> Json:
    """Return the URL: of a hand-written request with its query only, else with all parameters to choose from."""
    if "query" in request:
        query = [{"key": name, "value": value} for name, value in request["query"].items()]
    else:
        query = [_parameter(each, values) for each in operation["parameters"] if each["in"] == "query"]
        if "operation" in request:
            query = [each for each in query if not each.get("disabled")]
    path = operation["path"]
    for each in operation["parameters"]:
        if each["in"] == "path":
            value = request.get("job", _parameter(each, values)["value"])
            path = path.replace(f"{{{each['name']}}}", value)
    sent = [(each["key"], each["value"]) for each in query if not each.get("disabled")]
    raw = "{{baseUrl}}" + path + ("?" + urlencode(sent, safe="{}") if sent else "")
    return {"raw": raw, "host": ["{{baseUrl}}"], "path": path.split("/")[1:]} | ({"query": query} if query else {})


def _parameter(parameter: Json, values: Mapping[str, str]) -> Json:
    """Return a parameter, switched off if it is optional."""
    name, schema = parameter["name"], parameter["schema"]
    items = schema.get("items", schema)
    chosen = [values.get(name), _example(parameter), schema.get("default"), *items.get("enum", ())]
    value = next((str(each) for each in chosen if each is not None), "")
    about = {"description": parameter["description"]} if "description" in parameter else {}
    return {"key": name, "value": value, **about} | ({} if parameter.get("required") else {"disabled": True})


def _example(described: Json) -> Any:
    """Return the first example of a parameter or a body; None without any."""
    if "example" in described:
        return described["example"]
    for each in described.get("examples", {}).values():
        return each["value"]
    schema = described.get("schema", {})
    return next(iter(schema.get("examples", ())), schema.get("example"))


def _checks(request: Json, operation: Json) -> list[str]:
    """Return the checks of a response's status, by default that of success, and of its shape."""
    responses = operation["responses"]
    statuses = request.get("status", [int(code) for code in responses if code.startswith("2")])
    statuses = [statuses] if isinstance(statuses, int) else statuses
    for status in statuses:
        if str(status) not in responses:
            raise SourceError(f"{operation['method']} {operation['path']} has no response {status}")
    named = " or ".join(map(str, statuses))
    checks = [f'pm.test("the status is {named}", () => pm.expect(pm.response.code).to.be.oneOf({statuses}));']
    if request.get("query", {}).get("format") == "csv":
        sent = 'pm.response.headers.get("Content-Type")'
        return [*checks, f'pm.test("the body is CSV", () => pm.expect({sent}).to.include("text/csv"));']
    shapes = {str(status): _shape(responses[str(status)]) for status in statuses}
    return [
        *checks,
        f"const shapes = {json.dumps(shapes, ensure_ascii=False, separators=(',', ':'))};",
        'pm.test("the body has the described shape", () => {',
        "  pm.response.to.have.jsonSchema(shapes[pm.response.code]);",
        "});",
    ]


def _shape(response: Json) -> Json:
    """Return the schema of a response's JSON."""
    schemas = [
        _without_texts(described["schema"]) for kind, described in response["content"].items() if kind.endswith("json")
    ]
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _without_texts(schema: Any) -> Any:
    """Return a schema without what only people read."""
    if isinstance(schema, list):
        return [_without_texts(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: {key: _without_texts(each) for key, each in value.items()}
        if name == "properties"
        else _without_texts(value)
        for name, value in schema.items()
        if name not in _FOR_PEOPLE
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the file; return the exit code."""
    return write_or_check(FILE, collection(), "postman", arguments)


if __name__ == "__main__":
    sys.exit(main())
