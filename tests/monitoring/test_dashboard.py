"""The dashboard: each metric that it names is sent by a function, or is one of AWS's."""

from itertools import combinations

from retail_pulse.domain.failures import FailureCode
from tests.infra import sam
from tests.monitoring.aws_metrics import AWS_METRICS, RESOURCES
from tests.monitoring.conftest import Line
from tests.monitoring.dashboard import Metric, metrics, rendered

CUSTOM = "RetailPulse"


def sent(lines: list[Line]) -> set[Metric]:
    """Return the metrics that the functions sent."""
    found = set()
    for line in lines:
        for directive in line["_aws"]["CloudWatchMetrics"]:
            for dimensions in directive["Dimensions"]:
                pairs = tuple(sorted((name, line[name]) for name in dimensions))
                found |= {Metric(directive["Namespace"], each["Name"], pairs) for each in directive["Metrics"]}
    return found


def shown() -> set[Metric]:
    return {Metric(each.namespace, each.name, tuple(sorted(each.dimensions))) for each in metrics(rendered())}


def test_it_shows_exactly_the_metrics_that_the_functions_send(metric_lines: list[Line]) -> None:
    assert {each for each in shown() if each.namespace == CUSTOM} == sent(metric_lines)


def test_the_pages_say_how_many_metrics_there_are_since_each_costs_money(metric_lines: list[Line]) -> None:
    number = len(sent(metric_lines))
    names = ("README.md", "docs/monitoring.md")
    pages = {name: " ".join((sam.ROOT / name).read_text(encoding="utf-8").split()) for name in names}
    assert f"up to {number} metrics of its own" in pages["README.md"]
    assert (
        f"| all {number} of them, {len(FailureCode)} of which are codes | {0.30 * number:.2f} |"
        in pages["docs/monitoring.md"]
    )


def test_it_shows_the_stage_of_its_own_stack() -> None:
    ours = [dict(each.dimensions) for each in metrics(rendered(Stage="qa")) if each.namespace == CUSTOM]
    assert {each["stage"] for each in ours} == {"qa"}


def test_all_others_are_aws_metrics_of_our_resources() -> None:
    resources = sam.read()["Resources"]
    for each in shown():
        if each.namespace != CUSTOM:
            assert AWS_METRICS[each.namespace, each.name] == {name for name, _ in each.dimensions}
            for name, value in each.dimensions:
                assert name == "Operation" or resources[value]["Type"] == RESOURCES[name]


def test_it_names_the_console_only_where_there_is_one() -> None:
    shown_without = {value for each in metrics(rendered(Console="off")) for _, value in each.dimensions}
    assert not [value for value in shown_without if value.startswith("Console")]


def test_every_function_and_log_group_is_on_it() -> None:
    values = {value for each in shown() for _, value in each.dimensions}
    resources = sam.read()["Resources"]
    assert set(sam.of_type(resources, sam.FUNCTION)) | set(sam.of_type(resources, sam.LOG_GROUP)) <= values


def test_every_failure_code_is_on_it() -> None:
    assert {f"ImagesFailed.{code}" for code in FailureCode} <= {each.name for each in shown()}


def test_its_widgets_do_not_overlap_and_are_within_24_columns() -> None:
    widgets = rendered()["widgets"]
    assert all(each["x"] + each["width"] <= 24 for each in widgets)
    for one, other in combinations(widgets, 2):
        assert any(
            one[start] + one[size] <= other[start] or other[start] + other[size] <= one[start]
            for start, size in (("x", "width"), ("y", "height"))
        )


def test_it_has_a_name_that_no_other_stack_and_region_has() -> None:
    name = sam.only(sam.read()["Resources"], "AWS::CloudWatch::Dashboard")["DashboardName"]
    assert name == {"Fn::Sub": "${AWS::StackName}-${AWS::Region}"}
