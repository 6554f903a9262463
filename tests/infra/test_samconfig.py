"""samconfig.toml: stages that deploy the build, with parameters of the template."""

import re
import shlex
import tomllib
from typing import Any

import pytest

from tests.infra import sam
from tests.infra.test_template_parameters import PARAMETERS, allows

CONFIG: dict[str, Any] = tomllib.loads((sam.ROOT / "samconfig.toml").read_text(encoding="utf-8"))
STAGES = sorted(CONFIG.keys() - {"version"})
every_stage = pytest.mark.parametrize("stage", STAGES)


def parameters(stage: str, command: str) -> dict[str, Any]:
    found: dict[str, Any] = CONFIG[stage].get(command, {}).get("parameters", {})
    return found


def pairs(stage: str, command: str, name: str) -> list[list[str]]:
    return [part.split("=", maxsplit=1) for part in shlex.split(parameters(stage, command).get(name, ""))]


def overrides(stage: str) -> dict[str, str]:
    """Return the parameters of a stage but for `Release`, which `make deploy` computes."""
    return {name: value for name, value in pairs(stage, "deploy", "parameter_overrides") if name != "Release"}


def test_default_dev_and_prod_exist() -> None:
    assert STAGES == ["default", "dev", "prod"]


@every_stage
class TestEveryStage:
    def test_names_the_source_template_only_for_build_and_validate(self, stage: str) -> None:
        # Under global, `sam deploy` would ship it unbuilt.
        naming = {command for command in CONFIG[stage] if "template_file" in parameters(stage, command)}
        assert naming == {"build", "validate"}
        assert all((sam.ROOT / parameters(stage, command)["template_file"]) == sam.TEMPLATE for command in naming)

    def test_overrides_parameters_that_the_template_has_with_values_that_it_allows(self, stage: str) -> None:
        assert {name: value for name, value in overrides(stage).items() if not allows(PARAMETERS[name], value)} == {}

    def test_is_refused_by_the_template_if_sam_deploys_it_without_make(self, stage: str) -> None:
        (release,) = (value for name, value in pairs(stage, "deploy", "parameter_overrides") if name == "Release")
        assert not allows(PARAMETERS["Release"], release)
        assert "make deploy" in PARAMETERS["Release"]["ConstraintDescription"]

    def test_deploys_a_stack_named_after_itself(self, stage: str) -> None:
        tagged = overrides(stage)["Stage"]
        assert parameters(stage, "global")["stack_name"] == f"retail-pulse-{tagged}"
        assert stage in {tagged, "default"}

    def test_tags_its_stack_as_the_template_tags_resources(self, stage: str) -> None:
        # Resources without tags in the template, such as log groups, have those of the stack.
        tags = sorted(pairs(stage, "deploy", "tags"))
        assert tags == [["Project", "retail-pulse"], ["Stage", overrides(stage)["Stage"]]]

    def test_lints_what_it_validates(self, stage: str) -> None:
        assert parameters(stage, "validate")["lint"] is True

    def test_may_create_roles(self, stage: str) -> None:
        assert "CAPABILITY_IAM" in parameters(stage, "deploy")["capabilities"].split()

    def test_builds_for_the_architecture_that_it_deploys(self, stage: str) -> None:
        # A build without the override fetches the packages of the default architecture.
        built = dict(pairs(stage, "build", "parameter_overrides"))
        assert built.get("Architecture") == overrides(stage).get("Architecture")
        # `make build`, which the workflow deploys, has its own default.
        (made,) = re.findall(r"^ARCHITECTURE \?= (\w+)$", (sam.ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
        assert made == overrides(stage).get("Architecture", PARAMETERS["Architecture"]["Default"])


def test_the_linters_rules_of_the_check_do_not_stop_sam_validate() -> None:
    # The SAM CLI reads .cfnlintrc in its own environment, and fails on rules that are not installed there.
    assert "append_rules:" not in (sam.ROOT / ".cfnlintrc").read_text(encoding="utf-8")
    assert "cfn-lint --append-rules cfn_lint_serverless.rules" in (sam.ROOT / "Makefile").read_text(encoding="utf-8")


def test_production_is_confirmed_by_hand() -> None:
    assert parameters("prod", "deploy")["confirm_changeset"] is True


def test_two_stages_are_two_stacks() -> None:
    assert parameters("dev", "global")["stack_name"] != parameters("prod", "global")["stack_name"]


def test_the_page_shows_sam_deploy_with_every_parameter_of_the_stage() -> None:
    page = (sam.ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    ((stage, text),) = re.findall(r"^sam deploy --config-env (\w+) --parameter-overrides (.+)$", page, re.MULTILINE)
    shown = dict(part.split("=", maxsplit=1) for part in shlex.split(text))
    assert shown.pop("Release").startswith("$(")
    assert shown == overrides(stage)


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_the_page_lists_the_stage_with_its_stack_and_parameters(stage: str) -> None:
    page = (sam.ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    row = re.search(rf"^\| `{stage}` \| `(.+?)` \| `(.+?)` \|", page, re.MULTILINE)
    assert row is not None
    shown = dict(part.split("=", maxsplit=1) for part in shlex.split(row[2]))
    assert (row[1], {"Stage": stage} | shown) == (parameters(stage, "global")["stack_name"], overrides(stage))
