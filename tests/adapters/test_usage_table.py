"""Usage in the table: one contract for DynamoDB (on moto) and for the table in memory, and lost responses."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest
from botocore.exceptions import ConnectionClosedError

from local.lambda_host.table import TABLE
from retail_pulse.domain.errors import StorageUnavailableError
from retail_pulse.domain.usage import DailyLimitError, DayUsage
from retail_pulse.storage.usage_table import UsageTable
from tests.support.fakes import FakeTable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
TODAY = NOW.date()


@pytest.fixture(params=["dynamodb", "memory"])
def table(request: pytest.FixtureRequest) -> Any:
    return FakeTable() if request.param == "memory" else UsageTable(request.getfixturevalue("dynamodb"), TABLE)


def of(table: UsageTable, client: str = "me", day: date = TODAY) -> DayUsage | None:
    return next(iter(table.usage(client, day, day)), None)


def test_usage_adds_up_by_client_and_day(table: UsageTable) -> None:
    assert of(table) is None
    table.add_usage("me", NOW, 3, 1)
    table.add_usage("me", NOW, 0, 49)
    table.add_usage("me", NOW + timedelta(hours=12), 5, 0)
    table.add_usage("you", NOW, 7, 1)
    table.add_usage("me", NOW, -3, 0)
    assert of(table) == DayUsage(TODAY, 0, 50)
    assert of(table, day=date(2026, 11, 24)) == DayUsage(date(2026, 11, 24), 5, 0)
    assert of(table, "you") == DayUsage(TODAY, 7, 1)


def test_the_last_image_of_a_limit_is_counted_and_the_next_one_is_not(table: UsageTable) -> None:
    table.add_usage("me", NOW, 3, 1, limit=5)
    with pytest.raises(DailyLimitError, match="limit of this API key is 5 images, 3 are used"):
        table.add_usage("me", NOW, 3, 1, limit=5)
    table.add_usage("me", NOW, 2, 1, limit=5)
    with pytest.raises(DailyLimitError, match="5 are used"):
        table.add_usage("me", NOW, 1, 1, limit=5)
    # A lower limit, as of another key, has no room either.
    with pytest.raises(DailyLimitError, match="the daily limit of this API key is 4 images, 5 are used"):
        table.add_usage("me", NOW, 1, 1, limit=4)
    assert of(table) == DayUsage(TODAY, 5, 2)


def test_days_are_read_by_date_with_both_ends(table: UsageTable) -> None:
    for day in (1, 2, 9, 10, 11):
        table.add_usage("me", NOW.replace(day=day), day, 0)
    assert [usage.images for usage in table.usage("me", date(2026, 11, 2), date(2026, 11, 10))] == [2, 9, 10]
    assert table.usage("m", date(2026, 11, 1), date(2026, 11, 30)) == []


def test_a_day_is_kept_longer_than_a_client_can_read_it(dynamodb: "DynamoDBClient") -> None:
    UsageTable(dynamodb, TABLE).add_usage("me", NOW, 1, 1)
    (item,) = dynamodb.scan(TableName=TABLE)["Items"]
    assert int(item["expires_at"]["N"]) == datetime(2027, 1, 2, tzinfo=UTC).timestamp()
    for index in ("by_client", "by_due"):
        assert dynamodb.scan(TableName=TABLE, IndexName=index)["Items"] == []


def test_31_days_are_one_query(dynamodb: "DynamoDBClient") -> None:
    client = Mock(wraps=dynamodb)
    table = UsageTable(client, TABLE)
    for ago in range(33):
        table.add_usage("me", NOW - timedelta(days=ago), 1, 1)
    assert len(table.usage("me", TODAY - timedelta(days=30), TODAY)) == 31
    assert client.query.call_count == 1


# ------------------------------------------------------------------ lost responses


class Repeating:
    """A client that repeats updates, as the SDK does after a lost response.

    Parameters
    ----------
    between
        Called between an update and its repeat.
    """

    def __init__(self, client: "DynamoDBClient", between: Callable[[], object] = lambda: None) -> None:
        self._client = client
        self._between = between

    def update_item(self, **request: Any) -> Any:
        self._client.update_item(**request)
        self._between()
        return self._client.update_item(**request)


@pytest.mark.parametrize("limit", [None, 3, 6])
def test_a_repeat_by_the_sdk_counts_once(dynamodb: "DynamoDBClient", limit: int | None) -> None:
    repeating: Any = Repeating(dynamodb)
    UsageTable(repeating, TABLE).add_usage("me", NOW, 3, 1, limit)
    assert of(UsageTable(dynamodb, TABLE)) == DayUsage(TODAY, 3, 1)


def test_a_repeat_after_another_update_counts_too_much_and_never_too_little(dynamodb: "DynamoDBClient") -> None:
    table = UsageTable(dynamodb, TABLE)
    repeating: Any = Repeating(dynamodb, lambda: table.add_usage("me", NOW, 1, 1))
    UsageTable(repeating, TABLE).add_usage("me", NOW, 3, 1)
    assert of(table) == DayUsage(TODAY, 7, 3)


def test_a_response_that_never_comes_is_an_error_of_the_domain() -> None:
    client = Mock()
    client.update_item.side_effect = ConnectionClosedError(endpoint_url="http://nowhere")
    with pytest.raises(StorageUnavailableError, match="ConnectionClosedError"):
        UsageTable(client, TABLE).add_usage("me", NOW, 3, 1, limit=5)
