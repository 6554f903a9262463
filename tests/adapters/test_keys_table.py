"""API keys in the table: stored as hashes, found, listed by client, revoked; and a command that dies midway."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING
from unittest.mock import DEFAULT, Mock

import pytest
from botocore.exceptions import EndpointConnectionError

from local.lambda_host.table import TABLE
from retail_pulse.domain.api_keys import ApiKey, KeyNotFoundError, KeyScope, hash_key
from retail_pulse.domain.errors import StorageUnavailableError
from retail_pulse.storage.api_key_items import KEY_GRACE_SECONDS
from retail_pulse.storage.api_keys_table import ApiKeysTable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
KEY = ApiKey("me.1", hash_key("secret-key"), "me", frozenset({KeyScope.READ}), NOW, expires_at=NOW + timedelta(days=30))
OTHER = replace(KEY, key_id="you.1", hash=hash_key("other-key"), client="you", expires_at=None)


@pytest.fixture
def table(dynamodb: "DynamoDBClient") -> ApiKeysTable:
    return ApiKeysTable(dynamodb, TABLE)


def test_a_key_is_kept_as_its_hash(table: ApiKeysTable, dynamodb: "DynamoDBClient") -> None:
    table.put(KEY)
    assert table.find(hash_key("secret-key")) == KEY
    assert table.find(hash_key("other-key")) is None
    assert "secret-key" not in str(dynamodb.scan(TableName=TABLE)["Items"])


def test_a_key_may_have_a_daily_limit_and_older_ones_have_none(table: ApiKeysTable, dynamodb: "DynamoDBClient") -> None:
    table.issue("limited", "me", daily_images=1000)
    limited = table.find(hash_key("limited"))
    assert limited is not None
    assert limited.daily_images == 1000
    table.put(KEY)
    (item,) = (item for item in dynamodb.scan(TableName=TABLE)["Items"] if item["pk"]["S"] == f"KEY#{KEY.hash}")
    assert "daily_images" not in item
    assert KEY.daily_images is None


def test_keys_are_listed_by_client(table: ApiKeysTable) -> None:
    second, longer = replace(KEY, key_id="me.2", hash="2"), replace(KEY, key_id="me-too.1", hash="3", client="me-too")
    for key in (OTHER, second, longer, KEY):
        table.put(key)
    assert table.all() == [longer, KEY, second, OTHER]
    assert table.all("me") == [KEY, second]
    assert table.all("nobody") == []


def test_a_list_of_several_pages_is_read_to_its_end(
    table: ApiKeysTable, dynamodb: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in (KEY, OTHER):
        table.put(key)
    one_at_a_time = Mock(side_effect=partial(dynamodb.query, Limit=1))
    monkeypatch.setattr(dynamodb, "query", one_at_a_time)
    assert table.all() == [KEY, OTHER]
    assert one_at_a_time.call_count >= 2


def test_a_revoked_key_keeps_the_time_it_was_first_revoked_at(table: ApiKeysTable) -> None:
    table.put(KEY)
    table.put(OTHER)
    assert table.revoke("me.1", NOW) == replace(KEY, revoked_at=NOW)
    assert table.revoke("me.1", NOW + timedelta(days=1)) == replace(KEY, revoked_at=NOW)
    assert table.all() == [replace(KEY, revoked_at=NOW), OTHER]


@pytest.mark.parametrize("key_id", ["me.2", "me", "", "KEYS", "you.1#"])
def test_an_unknown_id_cannot_be_revoked_and_creates_nothing(
    table: ApiKeysTable, dynamodb: "DynamoDBClient", key_id: str
) -> None:
    table.put(KEY)
    with pytest.raises((KeyNotFoundError, StorageUnavailableError)):
        table.revoke(key_id, NOW)
    assert dynamodb.scan(TableName=TABLE)["Count"] == 2
    assert table.all() == [KEY]


def test_a_command_that_dies_half_way_leaves_no_valid_key_that_is_not_listed(
    table: ApiKeysTable, dynamodb: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN a write that is the last one before the connection is lost
    lost = EndpointConnectionError(endpoint_url="http://127.0.0.1")
    put_once = Mock(wraps=dynamodb.put_item, side_effect=[DEFAULT, lost])
    monkeypatch.setattr(dynamodb, "put_item", put_once)
    with pytest.raises(StorageUnavailableError):
        table.put(KEY)
    assert put_once.call_count == 2

    # THEN the key is not valid, is not listed and cannot be revoked
    assert table.find(KEY.hash) is None
    assert table.all() == []
    with pytest.raises(KeyNotFoundError):
        table.revoke("me.1", NOW)
    assert dynamodb.scan(TableName=TABLE)["Count"] == 1


def test_an_expired_key_is_kept_for_90_days_and_one_without_expiry_for_ever(
    table: ApiKeysTable, dynamodb: "DynamoDBClient"
) -> None:
    table.put(KEY)
    assert KEY.expires_at is not None
    end = str(int(KEY.expires_at.timestamp()) + KEY_GRACE_SECONDS)
    assert [item["expires_at"]["N"] for item in dynamodb.scan(TableName=TABLE)["Items"]] == [end] * 2
    table.put(OTHER)
    assert sum("expires_at" in item for item in dynamodb.scan(TableName=TABLE)["Items"]) == 2


def test_no_key_is_in_an_index(table: ApiKeysTable, dynamodb: "DynamoDBClient") -> None:
    table.put(KEY)
    for index in ("by_client", "by_due"):
        assert dynamodb.scan(TableName=TABLE, IndexName=index)["Items"] == []
