"""Numbers that a user may want to change are parameters, and no name is fixed: two stages can share an account."""

import re
from datetime import datetime
from typing import Any

import pytest

from local.emulator.template import LOCAL_PARAMETERS
from retail_pulse.domain.errors import SettingsError
from retail_pulse.runtime.settings import StatusSettings
from tests.infra import sam

PARAMETERS: dict[str, Any] = sam.read()["Parameters"]
every_parameter = pytest.mark.parametrize("name", PARAMETERS)

# Numbers that stay in the resources, with the reason why they are not parameters.
FIXED = {
    # Routes without a key: for monitors; for people, one of them with 1.7 MB.
    ("Api", "GET /api/health", "ThrottlingRateLimit"): 10,
    ("Api", "GET /api/health", "ThrottlingBurstLimit"): 20,
    ("Api", "GET /docs", "ThrottlingRateLimit"): 1,
    ("Api", "GET /docs", "ThrottlingBurstLimit"): 5,
    ("Api", "GET /docs/errors", "ThrottlingRateLimit"): 1,
    ("Api", "GET /docs/errors", "ThrottlingBurstLimit"): 5,
    ("Api", "GET /openapi.json", "ThrottlingRateLimit"): 1,
    ("Api", "GET /openapi.json", "ThrottlingBurstLimit"): 5,
    # What AuthorizerCacheSeconds allows: a reference would be a text.
    ("Api", "1"): 3600,
    ("Api", "2"): 60,
    # The console: a first visit loads 24 small files.
    ("Api", "GET /", "ThrottlingRateLimit"): 10,
    ("Api", "GET /", "ThrottlingBurstLimit"): 20,
    ("Api", "GET /console/{proxy+}", "ThrottlingRateLimit"): 50,
    ("Api", "GET /console/{proxy+}", "ThrottlingBurstLimit"): 250,
    ("ConsoleFunction", "MemorySize"): 256,
    ("ConsoleFunction", "Timeout"): 5,
    # Browsers ask again after an hour whether a page may call the API.
    ("Api", "MaxAge"): 3600,
    # Reads one item: memory for the imports, time for a cold start.
    ("AuthorizeFunction", "MemorySize"): 256,
    ("AuthorizeFunction", "Timeout"): 5,
    # Just below the 30 s after which API Gateway responds itself; more memory gives more CPU for parsing.
    ("SubmitFunction", "MemorySize"): 1024,
    ("SubmitFunction", "Timeout"): 29,
    ("StatusFunction", "MemorySize"): 512,
    ("StatusFunction", "Timeout"): 29,
    # A few requests per job; time for the pointers of many large jobs.
    ("ReprocessFunction", "MemorySize"): 256,
    ("ReprocessFunction", "Timeout"): 120,
    # The next invocation is the retry.
    ("ReprocessFunction", "MaximumRetryAttempts"): 0,
    # A throttled sweep is given up after a minute; the next one is at most as far away as the schedule says.
    ("ReprocessFunction", "MaximumEventAgeInSeconds"): 60,
    # Four days, SQS's default; a sweep sends a lost pointer again.
    ("ChunkQueue", "MessageRetentionPeriod"): 345_600,
    # SQS's maximum.
    ("DeadLetterQueue", "MessageRetentionPeriod"): 1_209_600,
}

# The alarms' periods in seconds, how many of how many must be bad, and thresholds; docs/monitoring.md has the reasons.
ALARMS = {
    "DeadLetterAlarm": (300, 1, 1, 0),
    "ApiRolloutAlarm": (60, 1, 1, 0),
    "ProcessRolloutAlarm": (60, 1, 1, 0),
    "ApiErrorsAlarm": (60, 3, 5, 5),
    "ApiLatencyAlarm": (300, 3, 3, 10_000),
    **{
        f"{function}{metric}Alarm": (300, 2, 3, 0)
        for function in ("Authorize", "Submit", "Process", "Reprocess", "Status", "Console")
        for metric in ("Errors", "Throttles")
    },
    # Their other numbers follow from parameters.
    "ProcessDurationAlarm": (300, 2, 3, None),
    "ReprocessMissingAlarm": (None, 1, 1, 1),
    "QueueAgeAlarm": (300, 2, 3, 1800),
    "RecursionAlarm": (300, 1, 1, 0),
    "TableThrottlesAlarm": (300, 2, 3, 10),
    "TableErrorsAlarm": (300, 2, 3, 5),
}
FIXED |= {
    (name, key): number
    for name, numbers in ALARMS.items()
    for key, number in zip(("Period", "DatapointsToAlarm", "EvaluationPeriods", "Threshold"), numbers, strict=True)
    if number is not None
}

# Properties that name resources within an account and region.
NAMES = re.compile(
    r"(Function|Table|Queue|LogGroup|Role|Alarm|Topic|Bucket|Layer|Rule|Schedule|Dashboard|Group|Pipe|Api)Name|Name"
)
# An HTTP API that SAM makes has one stage.
NAMES_WITHIN_A_RESOURCE = {"StageName"}
TYPES_WITHIN_A_RESOURCE = {sam.ALIAS}


# Lambda's quota for the names and values of a function's variables.
MAX_VARIABLES_BYTES = 4096


def allows(spec: dict[str, Any], value: str) -> bool:
    """Return whether CloudFormation accepts a value for a parameter."""
    if "AllowedValues" in spec and value not in map(str, spec["AllowedValues"]):
        return False
    if len(value) > spec.get("MaxLength", len(value)):
        return False
    if "AllowedPattern" in spec and not re.fullmatch(spec["AllowedPattern"], value):
        return False
    if spec["Type"] == "Number":
        number = float(value)
        return bool(spec.get("MinValue", number) <= number <= spec.get("MaxValue", number))
    return True


@every_parameter
class TestEveryParameter:
    def test_says_what_it_is(self, name: str) -> None:
        assert PARAMETERS[name]["Description"].endswith(".")

    def test_has_a_default_within_what_it_allows_unless_make_deploy_sets_it(self, name: str) -> None:
        # With a default, an override that leaves `Stage` out would make a dev of a prod.
        assert ("Default" in PARAMETERS[name]) == (name not in LOCAL_PARAMETERS)
        assert allows(PARAMETERS[name], sam.Template().parameters[name])

    def test_has_both_ends_when_it_is_a_number(self, name: str) -> None:
        spec = PARAMETERS[name]
        if spec["Type"] == "Number":
            assert "AllowedValues" in spec or {"MinValue", "MaxValue"} <= spec.keys()

    def test_names_its_unit_in_words_when_it_is_a_time(self, name: str) -> None:
        unit = re.search(r"(Seconds|Days)$", name)
        if unit:
            assert unit[1].lower() in PARAMETERS[name]["Description"].lower()


@pytest.mark.parametrize("networks", ["", "127.0.0.0/8", "10.0.0.0/8,fd00::/8", "::ffff:10.0.0.0/104"])
def test_networks_are_comma_separated_blocks(networks: str) -> None:
    assert allows(PARAMETERS["AllowedNetworks"], networks)


@pytest.mark.parametrize(
    "networks", ["127.0.0.1", "10.0.0.0/8 fd00::/8", "10.0.0.0/8,", "any/8", "localhost", " ", "/8"]
)
def test_anything_else_is_refused_before_a_deployment(networks: str) -> None:
    # Otherwise the process function would fail to start.
    assert not allows(PARAMETERS["AllowedNetworks"], networks)


@pytest.mark.parametrize("names", ["", "api.example.com", "api.example.com:8443,b_1.example.com", "127.0.0.1:80"])
def test_own_names_are_comma_separated_with_or_without_a_port(names: str) -> None:
    assert allows(PARAMETERS["OwnHosts"], names)


@pytest.mark.parametrize(
    "names", ["https://a.test", "a.test/", "a.test,", "a.test, b.test", "a.test:", "a.test:x", "*.a.test"]
)
def test_other_own_names_are_refused_before_a_deployment(names: str) -> None:
    assert not allows(PARAMETERS["OwnHosts"], names)


@pytest.mark.parametrize("origins", ["", "*", "https://a.example.com", "http://localhost:5173,https://b.test:8443"])
def test_origins_are_comma_separated_or_any(origins: str) -> None:
    assert allows(PARAMETERS["AllowedOrigins"], origins)


@pytest.mark.parametrize(
    "origins", ["a.test", "https://a.test/", "https://a.test,*", "*.a.test", "https://*.a.test", "null", ","]
)
def test_other_origins_are_refused_before_a_deployment(origins: str) -> None:
    assert not allows(PARAMETERS["AllowedOrigins"], origins)


@pytest.mark.parametrize("url", ["", "https://example.com/bot?a=b#c", "http://example.com", "mailto:abuse@example.com"])
def test_a_contact_is_a_url(url: str) -> None:
    assert allows(PARAMETERS["ContactUrl"], url)


# It is part of a header, within parentheses.
@pytest.mark.parametrize(
    "url", ["example.com", "https://", "https://a b", "https://a\nb", "https://a)b", "https://ü", "ftp://a"]
)
def test_other_contacts_are_refused_before_a_deployment(url: str) -> None:
    assert not allows(PARAMETERS["ContactUrl"], url)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "America/Argentina/Buenos_Aires", "Etc/GMT+5"])
def test_a_time_zone_has_its_iana_name(zone: str) -> None:
    assert allows(PARAMETERS["ReportTimeZone"], zone)
    settings = StatusSettings.from_environment({"TABLE_NAME": "jobs", "REPORT_TIME_ZONE": zone})
    assert settings.report_time_zone.utcoffset(datetime(2026, 11, 23)) is not None


@pytest.mark.parametrize("zone", ["", "/etc/localtime", "../UTC", "+05:30", "Asia/", "Asia Kolkata", "UTC,CET"])
def test_other_time_zones_are_refused_before_a_deployment(zone: str) -> None:
    assert not allows(PARAMETERS["ReportTimeZone"], zone)


@pytest.mark.parametrize("zone", ["", "Asia/Nowhere"])
def test_a_time_zone_that_does_not_exist_is_named_at_the_cold_start(zone: str) -> None:
    with pytest.raises(SettingsError, match=f"REPORT_TIME_ZONE: {zone} is not a time zone"):
        StatusSettings.from_environment({"TABLE_NAME": "jobs", "REPORT_TIME_ZONE": zone})


def may_be_deployed(**parameters: str) -> bool:
    """Return whether the parameters meet the template's rules."""
    template = sam.Template(parameters=parameters)
    return all(
        not template.holds(rule["RuleCondition"]) or template.holds(assertion["Assert"])
        for rule in template.body["Rules"].values()
        for assertion in rule["Assertions"]
    )


@pytest.mark.parametrize("stage", ["prod", "dev"])
@pytest.mark.parametrize("networks", ["", "10.0.0.0/8"])
def test_production_calls_public_servers_alone(stage: str, networks: str) -> None:
    assert may_be_deployed(Stage=stage, AllowedNetworks=networks) == (stage != "prod" or not networks)


@pytest.mark.parametrize("stage", ["prod", "dev"])
@pytest.mark.parametrize("key", ["", "local-dev-key"])
def test_production_accepts_no_key_that_a_person_chose(stage: str, key: str) -> None:
    assert may_be_deployed(Stage=stage, LocalKey=key) == (stage != "prod" or not key)
    assert PARAMETERS["LocalKey"]["Default"] == ""
    assert allows(PARAMETERS["LocalKey"], key)


def test_numbers_in_resources_are_parameters_or_fixed_for_a_reason(template: sam.Body) -> None:
    found = {
        (resource, *(part for part in path if part.startswith(("GET ", "ANY "))), path[-1]): value
        for resource, body in template["Resources"].items()
        for path, value in sam.leaves(body["Properties"])
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    assert found == FIXED


def test_globals_have_no_number(template: sam.Body) -> None:
    numbers = [path for path, value in sam.leaves(template["Globals"]) if type(value) in {int, float}]
    assert numbers == []


def test_every_parameter_is_used(template: sam.Body) -> None:
    used = {value for path, value in sam.leaves(template) if path[-1] == "Ref"}
    texts = " ".join(str(value) for path, value in sam.leaves(template) if "Fn::Sub" in path)
    assert {name for name in PARAMETERS if name not in used and f"${{{name}}}" not in texts} == set()


def test_no_resource_has_a_fixed_name(transformed: sam.Body) -> None:
    fixed = {
        (logical_id, name): value
        for logical_id, resource in transformed.items()
        if resource["Type"] not in TYPES_WITHIN_A_RESOURCE
        for name, value in resource["Properties"].items()
        if NAMES.fullmatch(name) and name not in NAMES_WITHIN_A_RESOURCE and isinstance(value, str)
    }
    assert fixed == {}


def test_the_api_and_the_layers_are_named_after_the_stack(transformed: sam.Body) -> None:
    assert transformed["Api"]["Properties"]["Body"]["info"]["title"] == {"Ref": "AWS::StackName"}
    layers = sam.of_type(transformed, "AWS::Lambda::LayerVersion").values()
    assert all(layer["LayerName"]["Fn::Sub"].startswith("${AWS::StackName}-") for layer in layers)


def test_the_table_of_operations_has_every_parameter_with_its_default_range_and_description() -> None:
    text = (sam.ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \| (.*) \|$", text, re.MULTILINE)
    assert [(name, default, meaning) for name, default, _, meaning in rows if name in PARAMETERS] == [
        (name, str(spec.get("Default", "none")) or "empty", spec["Description"]) for name, spec in PARAMETERS.items()
    ]
    for name, _, values, _ in rows:
        spec = PARAMETERS.get(name, {})
        if "AllowedValues" in spec:
            assert values == ", ".join(map(str, spec["AllowedValues"]))
        elif "MinValue" in spec:
            assert values == f"{spec['MinValue']}–{spec['MaxValue']}"


def test_outputs_are_described_and_export_no_name(template: sam.Body) -> None:
    for output in template["Outputs"].values():
        assert output["Description"].endswith(".")
        assert "Export" not in output


def test_no_account_region_or_partition_is_hard_coded(template: sam.Body) -> None:
    written = re.compile(r"\b\d{12}\b|\b[a-z]{2}-[a-z]+-\d\b|arn:aws|amazonaws\.com")
    assert [(path, value) for path, value in sam.leaves(template["Resources"]) if written.search(str(value))] == []


def test_sam_local_hands_every_default_to_the_functions(template: sam.Body) -> None:
    """The SAM CLI passes no fraction to a function, and finds no number among the keys of a mapping."""
    # The path to a key of a mapping: …, Fn::FindInMap, 1, Ref.
    ways = sam.leaves([template["Globals"], template["Resources"]])
    keys = {value for way, value in ways if way[-3:] == ("Fn::FindInMap", "1", "Ref")}
    assert keys == {"LogLevel", "ProcessTimeoutSeconds", "Rollout"}
    for name, spec in PARAMETERS.items():
        assert not isinstance(spec.get("Default"), float), name
        assert name not in keys or isinstance(spec["Default"], str), name


def test_the_longest_texts_fit_into_the_4_kb_of_variables(template: sam.Body) -> None:
    """Check the variables of every function, with a text of its greatest length in every parameter that is one."""
    texts = {
        name: "x" * spec["MaxLength"] for name, spec in PARAMETERS.items() if "MaxLength" in spec and name != "Stage"
    }
    numbers = {name: str(spec["MaxValue"]) for name, spec in PARAMETERS.items() if "MaxValue" in spec}
    open_ended = {
        name
        for name, spec in PARAMETERS.items()
        if spec["Type"] == "String" and not {"AllowedValues", "MaxLength"} & spec.keys()
    }
    # These are short by their patterns, or are not variables.
    assert open_ended == {
        "Stage",
        "Release",
        "AlarmTopicArn",
        "AllowedOrigins",
        "LocalKey",
        "ReportTimeZone",
        "ReprocessSchedule",
    }
    longest = sam.Template(parameters=texts | numbers)
    # What CloudFormation knows only later: a table's name, a queue's URL.
    resources = dict.fromkeys(template["Resources"], "x" * 160)
    for name in sam.of_type(template["Resources"], sam.FUNCTION):
        variables = longest.environment(name, resources)
        assert sum(len(key) + len(value) for key, value in variables.items()) < MAX_VARIABLES_BYTES, name
