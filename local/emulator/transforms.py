"""The SAM transform with the values of the parameters, as on AWS.

ministack transforms a template without them. But SAM decides by them what to make: `AutoPublishCodeSha256` becomes part
of a version's logical ID, and `DeploymentPreference` says whether there are resources of CodeDeploy.
"""

from collections.abc import Callable
from typing import Any

Body = dict[str, Any]
Apply = Callable[..., Body]


def correct() -> None:
    """Give the emulator's transform the values; once per process, before its first deployment."""
    from ministack.services.cloudformation import changesets, engine, handlers

    corrected = with_values(engine._apply_transforms, engine._transform_parameters)
    # All three modules, because two of them have imported the name.
    engine._apply_transforms = handlers._apply_transforms = changesets._apply_transforms = corrected


def with_values(apply: Apply, values_of: Apply) -> Apply:
    """Return a transform that reads the values of the parameters as their defaults."""

    def applied(template: Body, provided: Any = None, previous: Any = None) -> Body:
        declared = template.get("Parameters")
        if not declared:
            return apply(template, provided, previous)
        values = values_of(template, provided, previous)
        filled = {name: spec | ({"Default": values[name]} if name in values else {}) for name, spec in declared.items()}
        made = apply({**template, "Parameters": filled}, provided, previous)
        # Only for the transform: the stack keeps the template's own defaults.
        made["Parameters"] = declared
        return made

    return applied
