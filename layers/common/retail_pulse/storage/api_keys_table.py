"""API keys in the table: an item under a key's hash, which is the truth, and a directory of all keys by their ids.

An entry of the directory is written before the key's item, and says only where that lies. So a command that dies
half-way leaves an entry that leads nowhere and is not shown, and never a key that lets somebody in and is not listed.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from retail_pulse.domain.api_keys import ApiKey, KeyNotFoundError, KeyScope, check_client, hash_key, new_key_id
from retail_pulse.domain.times import rfc3339
from retail_pulse.storage import api_key_items as items
from retail_pulse.storage.errors import ConditionFailedError, storage
from retail_pulse.storage.values import Item, Key

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class KeysTable:
    """The API keys.

    Parameters
    ----------
    client
        A DynamoDB client.
    name
        The table's name.

    Notes
    -----
    Every method raises `StorageUnavailableError` when DynamoDB does not take the request, however often it is repeated.
    """

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self._client = client
        self._name = name

    def find(self, key_hash: str) -> ApiKey | None:
        """Read what is kept of an API key; None when there is none of this hash."""
        item = self._get(items.api_key_key(key_hash))
        return None if item is None else items.api_key_from(item)

    def put(self, key: ApiKey) -> None:
        """Store a new API key."""
        for item in (items.key_entry_item(key), items.api_key_item(key)):
            with storage():
                self._client.put_item(TableName=self._name, Item=item)

    def issue(
        self,
        key: str,
        client: str,
        scopes: frozenset[KeyScope] = frozenset(KeyScope),
        expires_at: datetime | None = None,
    ) -> ApiKey:
        """Store an API key and return its record; a key that is stored already, even revoked, stays as it is.

        Raises
        ------
        InvalidClientError
            The client's name breaks the rule.
        """
        known = self.find(hash_key(key))
        if known is not None:
            return known
        made = ApiKey(new_key_id(check_client(client)), hash_key(key), client, scopes, datetime.now(UTC), expires_at)
        self.put(made)
        return made

    def all(self, client: str | None = None) -> list[ApiKey]:
        """Read all keys, or one client's, by client and id."""
        request: Any = {
            "TableName": self._name,
            "KeyConditionExpression": "pk = :directory",
            "ExpressionAttributeValues": {":directory": {"S": items.KEY_DIRECTORY}},
            "ConsistentRead": True,
        }
        if client is not None:
            request["KeyConditionExpression"] += " AND begins_with(sk, :client)"
            request["ExpressionAttributeValues"][":client"] = {"S": f"{client}."}
        found = []
        while True:
            with storage():
                answer = self._client.query(**request)
            found += [self.find(items.key_hash_from(entry)) for entry in answer["Items"]]
            if "LastEvaluatedKey" not in answer:
                return [key for key in found if key is not None]
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def revoke(self, key_id: str, now: datetime) -> ApiKey:
        """Have a key let nobody in any more; one that is revoked already keeps its time.

        Raises
        ------
        KeyNotFoundError
            There is no key of this id.
        """
        entry = self._get(items.key_entry_key(key_id))
        if entry is None:
            raise KeyNotFoundError(f"there is no key {key_id}")
        try:
            with storage():
                answer = self._client.update_item(
                    TableName=self._name,
                    Key=items.api_key_key(items.key_hash_from(entry)),
                    UpdateExpression="SET revoked_at = if_not_exists(revoked_at, :now)",
                    ConditionExpression="attribute_exists(pk)",
                    ExpressionAttributeValues={":now": {"S": rfc3339(now)}},
                    ReturnValues="ALL_NEW",
                )
        except ConditionFailedError:
            raise KeyNotFoundError(f"there is no key {key_id}") from None
        return items.api_key_from(answer["Attributes"])

    def _get(self, key: Key) -> Item | None:
        with storage():
            return self._client.get_item(TableName=self._name, Key=key, ConsistentRead=True).get("Item")
