"""The dashboard as CloudWatch gets it, and the metrics that it names."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.infra import sam


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric of a widget; a value of a dimension is a logical id where it refers to a resource."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]


def rendered(**parameters: str) -> dict[str, Any]:
    """Return the dashboard's body, with logical ids in place of references to resources."""
    template = sam.Template(parameters=parameters)
    text, given = sam.only(template.body["Resources"], "AWS::CloudWatch::Dashboard")["DashboardBody"]["Fn::Sub"]
    references = re.findall(r"\$\{([\w.]+)\}", text)
    names = {name: name.partition(".")[0] for name in references if name not in template.parameters}
    logical_ids = dict(zip(template.body["Resources"], template.body["Resources"], strict=True))
    names |= {name: template.resolve(value, logical_ids) for name, value in given.items()}
    body: dict[str, Any] = json.loads(template.resolve({"Fn::Sub": text}, names))
    return body


def metrics(body: dict[str, Any]) -> Iterator[Metric]:
    """Yield the metrics of all widgets."""
    for widget in body["widgets"]:
        for row in widget["properties"]["metrics"]:
            namespace, name, *rest = [each for each in row if not isinstance(each, dict)]
            yield Metric(namespace, name, tuple(zip(rest[::2], rest[1::2], strict=True)))
