"""What watches a stage is deployed with it, as far as the emulator knows it."""

import json

from local.emulator.template import ALARM, Template, for_emulator, of_type
from local.stack.process import StackProcess


def test_the_alarms_and_the_dashboard_are_deployed(stack: StackProcess) -> None:
    body = Template().body
    wanted = of_type(for_emulator(body)["Resources"], ALARM)
    cloudwatch = stack.client("cloudwatch")
    alarms = cloudwatch.describe_alarms()["MetricAlarms"]
    found = {(alarm["Namespace"], alarm["MetricName"], alarm["Threshold"]) for alarm in alarms}
    assert len(alarms) == len(wanted) == len(of_type(body["Resources"], ALARM)) - 3  # those on metric math
    assert ("AWS/Lambda", "Duration", 108_000) in found
    (dashboard,) = cloudwatch.list_dashboards()["DashboardEntries"]
    shown = json.loads(cloudwatch.get_dashboard(DashboardName=dashboard["DashboardName"])["DashboardBody"])
    assert "${" not in json.dumps(shown)
    assert len(shown["widgets"]) > 20


def test_a_function_gets_the_stage_for_its_metrics(stack: StackProcess) -> None:
    functions = stack.client("lambda").list_functions()["Functions"]
    assert {each["Environment"]["Variables"]["STAGE"] for each in functions} == {"dev"}
