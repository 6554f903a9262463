"""The template as data: as it is written, and as CloudFormation gets it from the SAM transform, without AWS."""

import copy
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

from samtranslator.translator.transform import transform as sam_transform
from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = ROOT / "infra" / "template.yaml"

Body = dict[str, Any]


class ManagedPolicyError(ValueError):
    """The template names a managed policy."""


class _NoManagedPolicies:
    """Stands in for the loader that asks IAM for its managed policies; the template names none."""

    def load(self) -> dict[str, str]:
        raise ManagedPolicyError("the template names a managed policy; write out what the function needs")


def load() -> Body:
    """Return the template as it is written, its tags as ``Ref`` and ``Fn::…``."""
    body: Body = yaml_parse(TEMPLATE.read_text(encoding="utf-8"))
    return body


def defaults(body: Body) -> dict[str, Any]:
    """Return the parameters' defaults."""
    return {name: spec["Default"] for name, spec in body["Parameters"].items()}


def transform(body: Body, overrides: Mapping[str, Any] | None = None) -> Body:
    """Return the template that the SAM transform makes of one.

    Parameters
    ----------
    body
        The template as `load` returns it; it is left as it is.
    overrides
        Values of parameters that differ from the defaults.

    Raises
    ------
    ManagedPolicyError
        When a function has a managed policy, whose name only AWS could resolve.
    """
    packaged = copy.deepcopy(body)
    for resource in packaged["Resources"].values():
        for name in {"CodeUri", "ContentUri"} & resource["Properties"].keys():
            resource["Properties"][name] = "s3://bucket/key"
    # The transform asks boto3 where it is; whatever this machine is set up for must not matter.
    with patch.dict(os.environ, {"AWS_DEFAULT_REGION": "eu-central-1"}):
        os.environ.pop("AWS_PROFILE", None)
        made: Body = sam_transform(packaged, defaults(body) | dict(overrides or {}), _NoManagedPolicies())
    return made
