"""What watches a stage is deployed with it, as far as the emulator knows it."""

import json

from local.emulator.template import ALARM, Template, for_emulator, of_type
from local.stack.process import StackProcess


def test_the_alarms_and_the_dashboard_are_deployed(stack: StackProcess) -> None:
    template = Template()
    wanted = of_type(for_emulator(template.body)["Resources"], ALARM)
    nearly = int(template.resolve(wanted["ProcessDurationAlarm"]["Threshold"]))
    cloudwatch = stack.client("cloudwatch")
    alarms = cloudwatch.describe_alarms()["MetricAlarms"]
    found = {(alarm["Namespace"], alarm["MetricName"], alarm["Threshold"]) for alarm in alarms}
    assert len(alarms) == len(wanted) > 10
    assert ("AWS/Lambda", "Duration", nearly) in found
    (dashboard,) = cloudwatch.list_dashboards()["DashboardEntries"]
    shown = json.loads(cloudwatch.get_dashboard(DashboardName=dashboard["DashboardName"])["DashboardBody"])
    assert "${" not in json.dumps(shown)
    assert len(shown["widgets"]) > 20


def test_a_function_gets_the_stage_for_its_metrics(stack: StackProcess) -> None:
    functions = stack.client("lambda").list_functions()["Functions"]
    assert {each["Environment"]["Variables"]["STAGE"] for each in functions} == {Template().parameters["Stage"]}
