"""Runs `sam build` and prepares its output for `sam local`."""

import json
import os
import signal
import subprocess
import tempfile
import threading
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
_POLL_SECONDS = 0.2


class BuildError(RuntimeError):
    """`sam build` failed; the text is its output."""


def build(asked_to_end: threading.Event | None = None) -> None:
    """Run `sam build` for this machine's processor.

    Parameters
    ----------
    asked_to_end
        Ends the build early; without it the build always runs to its end.

    Raises
    ------
    BuildError
        The build failed, or was ended.
    """
    folder, overrides = str(FOLDER), f"Architecture={ARCHITECTURE}"
    command = ["sam", "build", "--build-dir", folder, "--parameter-overrides", overrides]
    # A build that is ended leaves its temporary files.
    with tempfile.TemporaryDirectory(prefix="retail-pulse-build-") as temporary:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment() | {"TMPDIR": temporary}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        output = _output(process, asked_to_end or threading.Event())
    if process.returncode:
        raise BuildError(f"sam build failed:\n{output}")


def _output(process: "subprocess.Popen[str]", asked_to_end: threading.Event) -> str:
    """Return a process's output once it has ended, with all that it started."""
    with process:
        try:
            while not asked_to_end.is_set():
                try:
                    return process.communicate(timeout=_POLL_SECONDS)[0]
                except subprocess.TimeoutExpired:
                    pass
        finally:
            # What it started may outlive it. Until it is waited for, its ID is its own.
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGTERM)
        return process.communicate()[0]


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
