"""The template as CloudFormation gets it: what the SAM transform makes of it, without AWS.

`local.emulator.template` has the other form: the template as it is written.
"""

import copy
import logging
import os
from collections.abc import Mapping
from typing import Any
from unittest.mock import patch

from samtranslator.translator.transform import transform as sam_transform

from local.emulator.template import Body, default_parameters

# It warns for each function that a switch of AWS's own service is not set here.
logging.getLogger("samtranslator.feature_toggle.feature_toggle").setLevel(logging.ERROR)


class ManagedPolicyError(ValueError):
    """The template names a managed policy."""


class _NoManagedPolicies:
    """A stand-in for the loader that asks IAM for its managed policies."""

    def load(self) -> dict[str, str]:
        raise ManagedPolicyError("the template names a managed policy; write out what the function needs")


def transform(body: Body, overrides: Mapping[str, Any] | None = None) -> Body:
    """Return the template that the SAM transform makes of one.

    Parameters
    ----------
    body
        The template as it is written; it does not change.
    overrides
        Values that replace the parameters' defaults.

    Raises
    ------
    ManagedPolicyError
        When a function has a managed policy, whose name only AWS can resolve.
    """
    values = default_parameters(body["Parameters"]) | dict(overrides or {})
    packaged = copy.deepcopy(body)
    for resource in packaged["Resources"].values():
        for name in {"CodeUri", "ContentUri"} & resource["Properties"].keys():
            resource["Properties"][name] = "s3://bucket/key"
    # The transform asks boto3 for the region. The settings of this machine must not matter.
    with patch.dict(os.environ, {"AWS_DEFAULT_REGION": "eu-central-1"}):
        os.environ.pop("AWS_PROFILE", None)
        made: Body = sam_transform(packaged, values, _NoManagedPolicies())
    return made
