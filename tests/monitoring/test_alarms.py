"""The alarms: whom they notify, what they watch, when they go off, and that each has a runbook."""

import json
import re
from typing import Any

import pytest

from benchmarks.sections.bill import _at_rest
from benchmarks.world.prices import cost
from tests.infra import sam
from tests.monitoring.aws_metrics import AWS_METRICS, RESOURCES
from tests.tools.test_links import anchors

ALARM, COMPOSITE = "AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm"
BODY = sam.read()
METRIC_ALARMS = sam.of_type(BODY["Resources"], ALARM)
ALARMS = METRIC_ALARMS | sam.of_type(BODY["Resources"], COMPOSITE)
FUNCTIONS = sam.of_type(BODY["Resources"], sam.FUNCTION)
every_alarm = pytest.mark.parametrize("name", ALARMS)
every_metric_alarm = pytest.mark.parametrize("name", METRIC_ALARMS)
NOTIFIED = {"Fn::If": ["AlarmsNotify", [{"Ref": "AlarmTopicArn"}], {"Ref": "AWS::NoValue"}]}


def metrics(alarm: sam.Body) -> list[sam.Body]:
    """Return the metrics of an alarm."""
    if "Metrics" not in alarm:
        return [alarm]
    return [each["MetricStat"]["Metric"] for each in sam.whatever_holds(alarm["Metrics"]) if "MetricStat" in each]


def periods(alarm: sam.Body) -> set[Any]:
    if "Metrics" not in alarm:
        return {json.dumps(alarm["Period"])}
    stats = [each["MetricStat"] for each in sam.whatever_holds(alarm["Metrics"]) if "MetricStat" in each]
    return {json.dumps(each["Period"]) for each in stats}


@every_alarm
class TestEveryAlarm:
    def test_notifies_the_topic_when_it_goes_off_and_when_it_is_over(self, name: str) -> None:
        assert ALARMS[name]["AlarmActions"] == ALARMS[name]["OKActions"] == NOTIFIED

    def test_names_its_runbook_within_the_length_that_cloudwatch_allows(self, name: str) -> None:
        text = ALARMS[name]["AlarmDescription"]
        assert len(text) <= 1024
        assert text.endswith(f"What to do: docs/operations.md#{name.lower()}")

    def test_has_a_runbook(self, name: str) -> None:
        page = (sam.ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
        assert name.lower() in set(anchors(page))

    def test_is_on_the_page_about_monitoring(self, name: str) -> None:
        page = (sam.ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
        shown = re.sub(r"^(Authorize|Submit|Process|Reprocess|Status|Console)(?=(Errors|Throttles)Alarm$)", "…", name)
        assert f"`{shown}`" in page

    def test_only_that_of_dead_letters_is_in_every_stage(self, name: str) -> None:
        conditions = {
            "DeadLetterAlarm": None, "ApiRolloutAlarm": "Gradual", "ProcessRolloutAlarm": "Gradual",
            "ConsoleErrorsAlarm": "AlarmsForConsole", "ConsoleThrottlesAlarm": "AlarmsForConsole",
        }  # fmt: skip
        assert BODY["Resources"][name].get("Condition") == conditions.get(name, "AllAlarms")


@every_metric_alarm
class TestEveryMetricAlarm:
    def test_watches_metrics_that_aws_has_by_these_dimensions_of_our_resources(self, name: str) -> None:
        for metric in metrics(METRIC_ALARMS[name]):
            dimensions = {each["Name"]: each["Value"] for each in metric["Dimensions"]}
            assert AWS_METRICS[metric["Namespace"], metric["MetricName"]] == set(dimensions)
            for dimension, value in dimensions.items():
                if dimension in RESOURCES:
                    assert BODY["Resources"][sam.logical_id(value)]["Type"] == RESOURCES[dimension]

    def test_has_one_period_of_whole_minutes_and_looks_back_at_most_a_day(self, name: str) -> None:
        alarm = METRIC_ALARMS[name]
        (period,) = map(json.loads, periods(alarm))
        values = BODY["Parameters"][period["Ref"]]["AllowedValues"] if isinstance(period, dict) else [period]
        for seconds in values:
            assert seconds % 60 == 0
            assert seconds * alarm["EvaluationPeriods"] <= 86_400
        assert 1 <= alarm["DatapointsToAlarm"] <= alarm["EvaluationPeriods"]

    def test_says_what_missing_data_means(self, name: str) -> None:
        wanted = {"DeadLetterAlarm": "ignore", "ReprocessMissingAlarm": "breaching"}
        assert METRIC_ALARMS[name]["TreatMissingData"] == wanted.get(name, "notBreaching")


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("metric", ["Errors", "Throttles"])
def test_every_function_has_alarms_for_errors_and_throttles(function: str, metric: str) -> None:
    alarm = METRIC_ALARMS[f"{function.removesuffix('Function')}{metric}Alarm"]
    assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/Lambda", metric)
    # Without a version or an alias, it covers all of them.
    assert alarm["Dimensions"] == [{"Name": "FunctionName", "Value": {"Ref": function}}]


@pytest.mark.parametrize("timeout", ["60", "120", "300"])
def test_a_batch_is_near_its_end_after_nine_tenths_of_the_timeout(timeout: str) -> None:
    deployed = sam.Template(parameters={"ProcessTimeoutSeconds": timeout})
    threshold = deployed.resolve(METRIC_ALARMS["ProcessDurationAlarm"]["Threshold"])
    assert int(threshold) == 900 * int(timeout)


def test_a_delayed_message_is_not_an_old_one() -> None:
    longest = BODY["Parameters"]["LongestWaitSeconds"]["MaxValue"]
    assert METRIC_ALARMS["QueueAgeAlarm"]["Threshold"] >= 2 * longest


def test_reprocess_is_missed_after_more_than_two_intervals_of_the_default_schedule() -> None:
    parameters = BODY["Parameters"]
    minutes = re.fullmatch(r"rate\((\d+) minutes\)", parameters["ReprocessSchedule"]["Default"])
    assert minutes
    assert parameters["ReprocessAlarmSeconds"]["Default"] > 2 * 60 * int(minutes[1])


def test_metric_math_names_its_metrics() -> None:
    for alarm in METRIC_ALARMS.values():
        watched = sam.whatever_holds(alarm.get("Metrics", []))
        returned = [each for each in watched if each.get("ReturnData", True)]
        for each in returned:
            ids = set(re.findall(r"\b[a-z]\w*\b", each["Expression"]))
            assert ids <= {other["Id"] for other in watched}
        assert len(returned) == ("Metrics" in alarm)


def test_the_alarm_to_page_on_is_made_of_others() -> None:
    rule = ALARMS["PageAlarm"]["AlarmRule"]["Fn::Sub"]
    assert re.fullmatch(r'ALARM\("\$\{\w+\}"\)( OR ALARM\("\$\{\w+\}"\))*', " ".join(rule.split()))
    assert set(re.findall(r"\$\{(\w+)\}", rule)) <= set(METRIC_ALARMS)


def test_the_parameter_names_what_all_alarms_cost() -> None:
    every_stage = {name: alarm for name, alarm in METRIC_ALARMS.items() if not name.endswith("RolloutAlarm")}
    watched = sum(len(metrics(alarm)) for alarm in every_stage.values())
    usd = cost("alarm_month", watched) + cost("composite_alarm_month", 1)
    assert f"for {usd:.2f} USD" in BODY["Parameters"]["Alarms"]["Description"]


def test_the_page_names_what_the_alarms_of_a_gradual_rollout_cost() -> None:
    watched = sum(len(metrics(alarm)) for name, alarm in METRIC_ALARMS.items() if name.endswith("RolloutAlarm"))
    page = (sam.ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    assert f"The alarms cost {cost('alarm_month', watched):.2f} USD per month" in " ".join(page.split())


def test_the_readme_names_what_an_idle_stage_costs() -> None:
    """Check it against the bill of the defaults, which trace nothing."""
    usd = {row[0]: float(row[1].strip("*")) for row in _at_rest().rows}
    page = " ".join((sam.ROOT / "README.md").read_text(encoding="utf-8").split())
    (alarms,) = (cost for name, cost in usd.items() if name.startswith("alarms"))
    assert f"about {round(usd['**total**'], 1):.2f} USD per month: {alarms:.2f} for the alarms" in page
    assert not [name for name in usd if "trace" in name]
