"""The functions and their layers: runtime, logs, and the environment that their settings models read."""

import re
from graphlib import TopologicalSorter
from typing import Any, get_type_hints

import pytest

from retail_pulse import VERSION
from retail_pulse.domain.text import MAX_MESSAGE_CHARACTERS
from retail_pulse.runtime import settings
from tests.infra import sam
from tests.infra.test_template_queue import RESERVE_SECONDS

# DynamoDB's limit.
MAX_ITEM_BYTES = 400 * 1024

FUNCTION = "AWS::Lambda::Function"
FUNCTIONS = sorted(sam.of_type(sam.read()["Resources"], sam.FUNCTION))
every_function = pytest.mark.parametrize("name", FUNCTIONS)
# The console serves files, which need no settings.
WITH_SETTINGS = [name for name in FUNCTIONS if name != "ConsoleFunction"]


def variables(function: sam.Body) -> dict[str, Any]:
    """Return the variables of a function except those for Powertools and the C library."""
    found = function["Environment"]["Variables"].items()
    return {name: value for name, value in found if not name.startswith(("POWERTOOLS_", "RES_OPTIONS"))}


def references(value: sam.Body) -> set[str]:
    """Return what a resource refers to, by a function or by name."""
    found = set()
    for path, leaf in sam.leaves(value):
        if path[-1] in {"Ref", "Fn::GetAtt", "DependsOn"} or path[-2:-1] in {("Fn::GetAtt",), ("DependsOn",)}:
            found.add(str(leaf).partition(".")[0])
        elif "Fn::Sub" in path:
            found |= set(re.findall(r"\$\{([\w:]+)", str(leaf)))
    return found


def model(name: str) -> Any:
    """Return the settings model of a function: ``AuthorizeFunction`` reads ``AuthorizeSettings``."""
    return getattr(settings, name.removesuffix("Function") + "Settings")


@pytest.mark.parametrize("name", WITH_SETTINGS)
class TestTheEnvironment:
    def test_is_exactly_what_the_settings_model_reads(self, functions: dict[str, sam.Body], name: str) -> None:
        assert set(variables(functions[name])) == set(map(str.upper, get_type_hints(model(name))))

    def test_reads_with_the_defaults(self, name: str) -> None:
        model(name).from_environment(sam.Template().environment(name))

    @pytest.mark.parametrize("end", ["MinValue", "MaxValue"])
    def test_reads_at_either_end_of_what_is_allowed(self, template: sam.Body, name: str, end: str) -> None:
        ends = {parameter: str(spec[end]) for parameter, spec in template["Parameters"].items() if end in spec}
        model(name).from_environment(sam.Template(parameters=ends).environment(name))

    def test_has_references_and_no_numbers(self, functions: dict[str, sam.Body], name: str) -> None:
        assert [key for key, value in variables(functions[name]).items() if not isinstance(value, dict)] == []

    def test_names_the_service_for_logs_and_metrics(self, functions: dict[str, sam.Body], name: str) -> None:
        service = functions[name]["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"]
        assert service == name.removesuffix("Function").lower()


def test_a_dns_lookup_ends_well_within_the_time_for_the_last_writes(functions: dict[str, sam.Body]) -> None:
    # A lookup may end that much after the image's deadline; without the options it is 10 s.
    options = functions["ProcessFunction"]["Environment"]["Variables"]["RES_OPTIONS"].split()
    found = dict(option.split(":") for option in options)
    assert set(found) == {"timeout", "attempts"}
    assert int(found["timeout"]) * int(found["attempts"]) <= RESERVE_SECONDS / 2


class TestTheNamesOfTheApi:
    OWN = "abc123.execute-api.us-east-1.amazonaws.com"

    def settings(self, **parameters: str) -> settings.ProcessSettings:
        environment = sam.Template(parameters=parameters).environment("ProcessFunction", {"Api": "abc123"})
        return settings.ProcessSettings.from_environment(environment)

    def test_are_its_own_and_further_ones(self) -> None:
        assert self.settings().own_hosts == (self.OWN,)
        further = "api.example.com,b.example.com:8443"
        assert self.settings(OwnHosts=further).own_hosts == (self.OWN, "api.example.com", "b.example.com:8443")

    def test_are_in_the_user_agent_unless_there_is_a_contact(self) -> None:
        assert self.settings().user_agent == f"retail-pulse/{VERSION} (+https://{self.OWN}/docs)"
        contact = self.settings(ContactUrl="mailto:abuse@example.com")
        assert contact.user_agent == f"retail-pulse/{VERSION} (+mailto:abuse@example.com)"

    def test_are_where_the_api_is_served(self, template: sam.Body) -> None:
        deployed = sam.Template()
        url = deployed.resolve(template["Outputs"]["ApiUrl"]["Value"], {"Api": "abc123"})
        assert url == f"https://{self.OWN}"
        assert "GET /docs" in {route.key for route in deployed.routes()}


def test_no_resource_waits_for_itself(transformed: sam.Body) -> None:
    # CloudFormation refuses a circle of references, such as a function that names its own API.
    waits = {name: references(body) & transformed.keys() for name, body in transformed.items()}
    assert "Api" in waits["ProcessFunction"]
    assert "StatusFunctionAliaslive" in waits["Api"]
    TopologicalSorter(waits).prepare()


@pytest.mark.parametrize("rollout", sam.read()["Parameters"]["Rollout"]["AllowedValues"])
def test_no_alias_waits_for_itself_however_its_traffic_moves(template: sam.Body, rollout: str) -> None:
    made = sam.transform(template, {"Rollout": rollout})
    TopologicalSorter({name: references(body) & made.keys() for name, body in made.items()}).prepare()


class TestTheAliases:
    """Code, layers and variables change together: everything that calls a function calls its alias."""

    def test_are_one_per_function_and_point_to_its_version(self, transformed: sam.Body) -> None:
        aliases = sam.of_type(transformed, sam.ALIAS).values()
        assert sorted(sam.logical_id(alias["FunctionName"]) for alias in aliases) == FUNCTIONS
        for alias in aliases:
            assert alias["Name"] == "live"
            version = transformed[sam.logical_id(alias["FunctionVersion"])]
            assert version["Properties"]["FunctionName"] == alias["FunctionName"]

    def test_are_what_the_schedule_may_call_and_calls(self, transformed: sam.Body) -> None:
        schedule = sam.only(transformed, "AWS::Scheduler::Schedule")
        assert sam.called(transformed, schedule["Target"]["Arn"]) == "ReprocessFunction"
        (policy,) = transformed[sam.logical_id(schedule["Target"]["RoleArn"])]["Properties"]["Policies"]
        (statement,) = policy["PolicyDocument"]["Statement"]
        assert statement["Resource"] == schedule["Target"]["Arn"]

    def test_get_new_versions_exactly_when_the_release_changes(self, template: sam.Body) -> None:
        """Check it for layers and parameters too; SAM's own hash misses both."""

        def versions(release: str, **overrides: str) -> set[str]:
            made = sam.transform(template, {"Release": release, **overrides})
            # Lambda publishes no version of a function that did not change. The description does.
            assert all(release in function["Description"] for function in sam.of_type(made, FUNCTION).values())
            return set(sam.of_type(made, "AWS::Lambda::Version"))

        before = versions("0123456789")
        assert versions("0123456789", LogLevel="DEBUG") == before
        assert versions("123456789a").isdisjoint(before)

    def test_leave_no_version_behind_that_a_repeated_update_would_find(self, transformed: sam.Body) -> None:
        versions = [each for each in transformed.values() if each["Type"] == "AWS::Lambda::Version"]
        assert {version["DeletionPolicy"] for version in versions} == {"Delete"}

    def test_move_at_once_without_resources_of_codedeploy(self, transformed: sam.Body) -> None:
        kinds = {resource["Type"] for resource in transformed.values()}
        assert not [kind for kind in kinds if kind.startswith("AWS::CodeDeploy")]

    def test_move_gradually_and_back_when_their_functions_fail(self, template: sam.Body) -> None:
        made = sam.transform(template, {"Rollout": "Canary10Percent5Minutes"})
        for alias in (each for each in made.values() if each["Type"] == sam.ALIAS):
            policy = alias["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]
            group = made[sam.logical_id(policy["DeploymentGroupName"])]["Properties"]
            assert "CodeDeployDefault.Lambda${ConfigName}" in str(group["DeploymentConfigName"])
            condition, alarms, otherwise = group["AlarmConfiguration"]["Fn::If"]
            assert (condition, otherwise) == ("Gradual", {})
            watched = {
                sam.logical_id(dimension["Value"])
                for alarm in alarms["Alarms"]
                for metric in sam.whatever_holds(made[sam.logical_id(alarm["Name"])]["Properties"]["Metrics"])
                for dimension in metric.get("MetricStat", {}).get("Metric", {}).get("Dimensions", [])
            }
            assert sam.logical_id(alias["Properties"]["FunctionName"]) in watched


class TestTracing:
    def test_is_off_unless_the_parameter_says_otherwise(self, template: sam.Body, transformed: sam.Body) -> None:
        assert template["Parameters"]["Tracing"]["Default"] == "off"
        for tracing, mode in (("off", "PassThrough"), ("on", "Active")):
            deployed = sam.Template(parameters={"Tracing": tracing})
            modes = [function["TracingConfig"]["Mode"] for function in sam.of_type(transformed, FUNCTION).values()]
            assert len(modes) == len(FUNCTIONS)
            assert {deployed.resolve(each) for each in modes} == {mode}


def test_lambda_repeats_no_sweep_and_keeps_none_for_hours(transformed: sam.Body) -> None:
    # A retry of the schedule is a delivery to Lambda; only this is about what Lambda does with it.
    config = sam.only(transformed, "AWS::Lambda::EventInvokeConfig")
    assert sam.logical_id(config["FunctionName"]) == "ReprocessFunction"
    assert (config["Qualifier"], config["MaximumRetryAttempts"]) == ("live", 0)
    assert config["MaximumEventAgeInSeconds"] <= 300


def test_every_settings_model_has_its_function() -> None:
    models = {name for name in vars(settings) if name.endswith("Settings") and not name.startswith("_")}
    assert models == {name.removesuffix("Function") + "Settings" for name in WITH_SETTINGS}


class TestTheConsole:
    def test_has_neither_settings_nor_permissions(self, functions: dict[str, sam.Body]) -> None:
        assert variables(functions["ConsoleFunction"]) == {}
        assert "Policies" not in functions["ConsoleFunction"]

    @pytest.mark.parametrize("rollout", ["AllAtOnce", "Canary10Percent5Minutes"])
    def test_is_left_out_whole_by_its_parameter(self, template: sam.Body, rollout: str) -> None:
        transformed = sam.transform(template, {"Rollout": rollout})
        condition = template["Conditions"]["HasConsole"]
        for value, expected in (("on", True), ("off", False)):
            assert sam.Template(parameters={"Console": value}).holds(condition) is expected
        assert {"Condition": "HasConsole"} in template["Conditions"]["AlarmsForConsole"]["Fn::And"]
        conditions = {"HasConsole", "AlarmsForConsole"}
        conditional = {name for name, each in transformed.items() if each.get("Condition") in conditions}
        assert conditional == {name for name in transformed if name.startswith("Console")}

    def test_is_referred_to_only_under_its_condition(self, transformed: sam.Body) -> None:
        others = {name: body for name, body in transformed.items() if not name.startswith("Console")}
        for path, leaf in sam.leaves(others):
            # A placeholder of a text is a variable, which has its condition where it is given.
            if re.sub(r"\$\{Console\w+Name\}", "", str(leaf)).count("Console") and leaf != "HasConsole":
                assert "Fn::If" in path, path


@every_function
class TestEveryFunction:
    def test_runs_on_python_3_13_of_the_chosen_architecture(self, transformed: sam.Body, name: str) -> None:
        function = transformed[name]["Properties"]
        assert function["Runtime"] == "python3.13"
        assert function["Architectures"] == [{"Ref": "Architecture"}]

    def test_logs_to_its_own_group_with_a_retention(self, template: sam.Body, transformed: sam.Body, name: str) -> None:
        groups = {n: sam.logical_id(transformed[n]["Properties"]["LoggingConfig"]["LogGroup"]) for n in FUNCTIONS}
        group = template["Resources"][groups[name]]["Properties"]
        assert group["RetentionInDays"] == {"Ref": "LogRetentionDays"}
        assert [*groups.values()].count(groups[name]) == 1

    def test_has_both_layers(self, transformed: sam.Body, name: str) -> None:
        layers = {sam.logical_id(layer) for layer in transformed[name]["Properties"]["Layers"]}
        assert layers == set(sam.of_type(transformed, "AWS::Lambda::LayerVersion"))

    def test_is_in_the_folder_of_its_name_and_its_handler_exists(self, template: sam.Body, name: str) -> None:
        module, _, handler = template["Globals"]["Function"]["Handler"].partition(".")
        folder = (sam.TEMPLATE.parent / template["Resources"][name]["Properties"]["CodeUri"]).resolve()
        assert folder == sam.ROOT / "functions" / name.removesuffix("Function").lower()
        assert f"def {handler}(" in (folder / f"{module}.py").read_text(encoding="utf-8")

    def test_says_what_it_is_for(self, functions: dict[str, sam.Body], name: str) -> None:
        assert functions[name]["Description"].endswith(".")


def test_lambda_does_not_end_the_chain_of_a_chunk_that_is_requeued_often(transformed: sam.Body) -> None:
    # By default it does after 16 invocations:
    # https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html
    functions = sam.of_type(transformed, "AWS::Lambda::Function")
    loops = {name: function.get("RecursiveLoop") for name, function in functions.items()}
    assert {name for name, loop in loops.items() if loop == "Allow"} == {"ProcessFunction"}


def test_functions_of_the_api_respond_before_api_gateway_times_out(functions: dict[str, sam.Body]) -> None:
    of_api = [f for f in functions.values() if any(e["Type"] == "HttpApi" for e in f.get("Events", {}).values())]
    assert of_api
    assert all(function["Timeout"] < 30 for function in of_api)


def test_every_log_group_forgets(template: sam.Body) -> None:
    groups = sam.of_type(template["Resources"], sam.LOG_GROUP)
    assert [name for name, group in groups.items() if group["RetentionInDays"] != {"Ref": "LogRetentionDays"}] == []


def test_the_architecture_is_arm64_unless_told_otherwise(template: sam.Body) -> None:
    assert template["Parameters"]["Architecture"]["Default"] == "arm64"


@pytest.mark.parametrize("name", sorted(sam.of_type(sam.read()["Resources"], sam.LAYER)))
class TestEveryLayer:
    def test_is_built_for_python_3_13_and_the_chosen_architecture(self, template: sam.Body, name: str) -> None:
        layer = template["Resources"][name]
        # SAM's builder for Python ships no bytecode. Without BuildArchitecture, its cache would return the layer of the
        # other architecture.
        assert layer["Metadata"]["BuildMethod"] == "makefile"
        assert layer["Metadata"]["BuildArchitecture"] == {"Ref": "Architecture"}
        assert layer["Properties"]["CompatibleRuntimes"] == ["python3.13"]
        assert layer["Properties"]["CompatibleArchitectures"] == [{"Ref": "Architecture"}]

    def test_has_no_python_folder_that_the_build_would_nest(self, template: sam.Body, name: str) -> None:
        folder = sam.TEMPLATE.parent / template["Resources"][name]["Properties"]["ContentUri"]
        assert folder.is_dir()
        assert not (folder / "python").exists()

    def test_is_deleted_with_its_stack(self, transformed: sam.Body, name: str) -> None:
        (found,) = [r for logical, r in transformed.items() if logical.startswith(name)]
        assert found["DeletionPolicy"] == "Delete"


def test_the_common_layer_carries_the_one_store_master() -> None:
    carried = sam.ROOT / "layers" / "common" / "retail_pulse" / "storage" / "store_master.csv"
    assert carried.is_symlink()
    assert carried.resolve() == sam.ROOT / "store_master.csv"


def test_the_largest_chunk_fits_into_one_item_when_every_image_failed_with_the_longest_message(
    template: sam.Body,
) -> None:
    parameters = template["Parameters"]
    # Up to four bytes per character, and the other fields of a failure. The attempts at an image hold its last failure.
    failure = 4 * MAX_MESSAGE_CHARACTERS + 200
    largest = parameters["ChunkBytes"]["MaxValue"] + parameters["ChunkImages"]["MaxValue"] * 2 * failure
    assert largest < MAX_ITEM_BYTES
