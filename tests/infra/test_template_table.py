"""The jobs table: deletion, expiry, and the cost of its indexes."""

import pytest

from tests.infra import sam

# Sets of chunk numbers on a job's item. They grow with every batch, and an index would copy them each time.
SETS = {"done_chunks", "failed_chunks", "transient_chunks"}


@pytest.fixture
def table(template: sam.Body) -> sam.Body:
    return sam.only(template["Resources"], "AWS::DynamoDB::Table")


def index(table: sam.Body, name: str) -> sam.Body:
    (found,) = [index for index in table["GlobalSecondaryIndexes"] if index["IndexName"] == name]
    properties: sam.Body = found
    return properties


def keys(index: sam.Body) -> list[str]:
    """Return the key attributes, the partition key first."""
    return [key["AttributeName"] for key in sorted(index["KeySchema"], key=lambda key: str(key["KeyType"]))]


def test_it_is_billed_per_request(table: sam.Body) -> None:
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert "ProvisionedThroughput" not in table


def test_it_can_be_restored_to_any_second(table: sam.Body) -> None:
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}


def test_it_deletes_expired_items(table: sam.Body) -> None:
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}


def test_no_index_copies_a_set_of_chunks(table: sam.Body) -> None:
    for found in table["GlobalSecondaryIndexes"]:
        projection = found["Projection"]
        assert projection["ProjectionType"] in {"INCLUDE", "KEYS_ONLY"}
        assert not SETS & {*projection.get("NonKeyAttributes", []), *keys(found)}


def test_a_clients_jobs_are_sorted_by_their_ids(table: sam.Body) -> None:
    assert keys(index(table, "by_client")) == ["client", "job_id"]


def test_the_due_index_is_sparse_and_spread(table: sam.Body) -> None:
    found = index(table, "by_due")
    # Neither attribute is on an item that is not due, so that only due jobs are in it; and the hour alone would be one
    # hot partition.
    assert keys(found) == ["due_shard", "due"]
    assert found["Projection"] == {"ProjectionType": "KEYS_ONLY"}


def test_it_outlives_its_stack_and_a_replacement_but_not_a_first_deployment_that_failed(template: sam.Body) -> None:
    resource = template["Resources"]["JobsTable"]
    assert resource["UpdateReplacePolicy"] == "Retain"
    assert resource["DeletionPolicy"] == "RetainExceptOnCreate"
    # A protected table cannot be rolled back: the stack would end in ROLLBACK_FAILED. `make deploy` protects it later.
    assert "DeletionProtectionEnabled" not in resource["Properties"]
