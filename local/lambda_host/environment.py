"""The variables of the functions, from the template."""

from collections.abc import Mapping
from functools import cache

from local.emulator.template import Template

# The functions' logical IDs in the template, by their folders in functions/.
FUNCTIONS = {
    name: f"{name.title()}Function" for name in ("authorize", "submit", "process", "status", "reprocess", "console")
}
# Images come from this machine, from any port. In production both are blocked.
LOCAL_IMAGES = {"AllowedNetworks": "127.0.0.0/8", "AllowedPorts": "1-65535"}


@cache
def template(**parameters: str) -> Template:
    """Return the template with these parameters, parsed only once: tests need it hundreds of times."""
    return Template(parameters=parameters)


def environment(function: str, parameters: Mapping[str, str] | None = None, **resources: str) -> dict[str, str]:
    """Return the variables of a function, by its folder: the template's values, for images of this machine.

    `parameters` differ from the template's defaults. `resources` are the values of references to resources, by logical
    ID: ``JobsTable="jobs", ChunkQueue=url``.
    """
    return template(**LOCAL_IMAGES | dict(parameters or {})).environment(FUNCTIONS[function], resources)
