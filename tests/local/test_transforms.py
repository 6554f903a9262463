"""The emulator's SAM transform knows the values of the parameters."""

from typing import Any

from local.emulator.transforms import with_values

DECLARED = {"Release": {"Type": "String"}, "Rollout": {"Type": "String", "Default": "AllAtOnce"}}


def test_it_reads_the_values_as_defaults_and_the_stack_keeps_the_templates_own() -> None:
    seen: list[Any] = []

    def apply(template: dict[str, Any], *_: Any) -> dict[str, Any]:
        seen.append(template["Parameters"])
        return {**template, "Resources": {"Made": {}}}

    template = {"Parameters": DECLARED, "Resources": {}}
    made = with_values(apply, lambda *_: {"Release": "0123456789"})(template, [], None)

    assert seen == [{"Release": {"Type": "String", "Default": "0123456789"}, "Rollout": DECLARED["Rollout"]}]
    assert made == {"Parameters": DECLARED, "Resources": {"Made": {}}}
    assert template == {"Parameters": DECLARED, "Resources": {}}


def test_a_template_without_parameters_is_transformed_as_before() -> None:
    assert with_values(lambda template, *_: template, lambda *_: {})({"Resources": {}}) == {"Resources": {}}
