"""The saved queries of Logs Insights: each field that they name is logged."""

import re

import pytest

from retail_pulse.domain.failures import FailureCode
from tests.infra import sam
from tests.monitoring.conftest import Line

QUERIES = sam.of_type(sam.read()["Resources"], "AWS::Logs::QueryDefinition")
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax.html
LANGUAGE = {
    "fields", "filter", "stats", "sort", "limit", "unnest", "into", "as", "by", "in", "or", "like", "asc", "desc",
    "sum", "strcontains", "jsonParse", "ispresent",
}  # fmt: skip
# Of CloudWatch, and of Lambda's own lines.
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_AnalyzeLogData-discoverable-fields.html
# https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html#platform-report
# https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html
OF_AWS = {"@timestamp", "@message", "errorType", "errorMessage", "record.status"}
every_query = pytest.mark.parametrize("name", QUERIES)


def words(name: str) -> set[str]:
    """Return the names in a query: fields, and those that it makes itself."""
    text = re.sub(r"#.*|\"[^\"]*\"|/[^/]*/(?=\n)", "", QUERIES[name]["QueryString"])
    return set(re.findall(r"@?[A-Za-z_][\w.]*", text)) - LANGUAGE


def made(name: str) -> set[str]:
    return set(re.findall(r"\b(?:as|into) (\w+)", QUERIES[name]["QueryString"]))


def asked(name: str) -> set[str]:
    """Return the log groups of a query."""
    return {sam.logical_id(group) for group in sam.whatever_holds(QUERIES[name]["LogGroupNames"])}


def logged(lines: list[Line]) -> set[str]:
    """Return the fields of log lines, and of the elements of their lists by the names that queries give them."""
    found = {field for line in lines for field in line}
    hosts = [host for line in lines for host in line.get("hosts", [])]
    return found | {"line.hosts"} | {f"server.{field}" for host in hosts for field in host}


@every_query
class TestEveryQuery:
    def test_names_only_fields_that_are_logged(self, name: str, log_lines: list[Line]) -> None:
        assert words(name) - made(name) - OF_AWS - logged(log_lines) == set()

    def test_asks_log_groups_of_the_stack(self, name: str) -> None:
        groups = sam.of_type(sam.read()["Resources"], sam.LOG_GROUP)
        assert asked(name) <= set(groups)

    def test_filters_by_messages_and_levels_that_are_logged(self, name: str, log_lines: list[Line]) -> None:
        known = {line["message"] for line in log_lines} | {line["level"] for line in log_lines}
        texts = set(re.findall(r'"([^"]*)"', QUERIES[name]["QueryString"]))
        assert texts <= known | {"CRITICAL", "error", "timeout"}

    def test_is_in_the_folder_of_its_stack_and_on_the_page(self, name: str) -> None:
        folder, _, shown = QUERIES[name]["Name"]["Fn::Sub"].partition("/")
        assert folder == "${AWS::StackName}"
        assert f"| {shown} |" in (sam.ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")


def test_the_last_errors_are_those_of_all_functions() -> None:
    functions = sam.of_type(sam.read()["Resources"], sam.FUNCTION).values()
    assert asked("LastErrorsQuery") == {sam.logical_id(each["LoggingConfig"]["LogGroup"]) for each in functions}


def test_codes_of_a_host_are_published_ones(log_lines: list[Line]) -> None:
    codes = {code for line in log_lines for host in line.get("hosts", []) for code in host["codes"].split()}
    assert codes
    assert codes <= set(FailureCode)
