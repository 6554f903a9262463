"""Runs `sam build` and prepares its output for `sam local`."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

from local.checkout import ARCHITECTURE, ROOT
from local.emulator.template import FUNCTION, HTTP_API, Body, logical_id, of_type, read
from local.sam.environment import environment

# Not .aws-sam/build: that is for another processor than this machine's, and `make deploy` deploys it.
FOLDER = ROOT / ".aws-sam-local" / "build"
# `sam local` sets only variables that the template declares. AWS does not need this one, so only a copy of the built
# template declares it.
_ENDPOINT = "AWS_ENDPOINT_URL"


class BuildError(RuntimeError):
    """`sam build` failed; the text is its output."""


def build() -> None:
    """Run `sam build` for this machine's processor.

    Raises
    ------
    BuildError
        The build failed.
    """
    folder, overrides = str(FOLDER), f"Architecture={ARCHITECTURE}"
    command = ["sam", "build", "--build-dir", folder, "--parameter-overrides", overrides]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"sam build failed:\n{done.stdout}{done.stderr}")


def functions() -> dict[str, list[str]]:
    """Return the logical IDs of the built functions, each with the names of its variables."""
    return {name: list(variables) for name, variables in _variables(_built()).items()}


def write_template() -> Path:
    """Write a copy of the built template for `sam local`; return its path."""
    body = _built()
    for variables in _variables(body).values():
        variables[_ENDPOINT] = ""
    # `sam local` finds a function by its ARN, but not by its alias.
    for api in of_type(body["Resources"], HTTP_API).values():
        for authorizer in api["Auth"]["Authorizers"].values():
            authorizer["FunctionArn"] = {"Fn::GetAtt": [logical_id(authorizer["FunctionArn"]), "Arn"]}
    path = FOLDER / "sam-local.json"
    path.write_text(json.dumps(body), encoding="utf-8")
    return path


def write_variables(path: Path, values: Mapping[str, str], endpoint_url: str) -> None:
    """Write the file for ``--env-vars``: per function, the values that it declares.

    Parameters
    ----------
    path
        The file.
    values
        Values by the names of variables.
    endpoint_url
        Endpoint of the functions' AWS clients.
    """
    variables = {
        name: {variable: values[variable] for variable in declared if variable in values} | {_ENDPOINT: endpoint_url}
        for name, declared in functions().items()
    }
    path.write_text(json.dumps(variables, indent=2), encoding="utf-8")


def _built() -> Body:
    return read(FOLDER / "template.yaml")


def _variables(body: Body) -> dict[str, Body]:
    """Return the variables of every function."""
    return {name: each["Environment"]["Variables"] for name, each in of_type(body["Resources"], FUNCTION).items()}
