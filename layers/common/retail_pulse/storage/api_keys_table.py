"""API keys in the table: an item under a key's hash, which is the truth, and a directory of all keys by their ids.

An entry of the directory is written before the key's item and only says where that item lies. A command that dies
in between leaves an entry without a key, which is not shown. It never leaves a valid key that is not listed.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from retail_pulse.domain.api_keys import ApiKey, KeyNotFoundError, KeyScope, check_client, hash_key, new_key_id
from retail_pulse.storage import api_key_items as items
from retail_pulse.storage.errors import ConditionFailedError
from retail_pulse.storage.table import Table
from retail_pulse.storage.values import expression_values

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class ApiKeysTable:
    """The API keys.

    Every method raises `StorageUnavailableError` when DynamoDB does not accept the request, however often it is
    repeated.
    """

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self._table = Table(client, name)

    def find(self, key_hash: str) -> ApiKey | None:
        """Read the record of an API key by the key's hash; None when it does not exist."""
        item = self._table.get(items.api_key_key(key_hash))
        return None if item is None else items.api_key_from(item)

    def put(self, key: ApiKey) -> None:
        """Store a new API key."""
        for item in (items.key_entry_item(key), items.api_key_item(key)):
            self._table.put(item)

    def issue(
        self,
        key: str,
        client: str,
        scopes: frozenset[KeyScope] = frozenset(KeyScope),
        expires_at: datetime | None = None,
        daily_images: int | None = None,
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
        key_id = new_key_id(check_client(client))
        now = datetime.now(UTC)
        made = ApiKey(key_id, hash_key(key), client, scopes, now, expires_at, daily_images=daily_images)
        self.put(made)
        return made

    def all(self, client: str | None = None) -> list[ApiKey]:
        """Read all keys, or one client's, by client and id."""
        condition = "pk = :directory" + ("" if client is None else " AND begins_with(sk, :client)")
        values = expression_values(directory=items.KEY_DIRECTORY, client=None if client is None else f"{client}.")
        found = (self.find(items.key_hash_from(entry)) for entry in self._table.query(condition, values))
        return [key for key in found if key is not None]

    def revoke(self, key_id: str, now: datetime) -> ApiKey:
        """Revoke a key; one that is revoked already keeps its time.

        Raises
        ------
        KeyNotFoundError
            No key has this id.
        """
        unknown = KeyNotFoundError(f"key {key_id} does not exist")
        entry = self._table.get(items.key_entry_key(key_id))
        if entry is None:
            raise unknown
        try:
            item = self._table.update(
                items.api_key_key(items.key_hash_from(entry)),
                "SET revoked_at = if_not_exists(revoked_at, :now)",
                expression_values(now=now),
                "attribute_exists(pk)",
            )
        except ConditionFailedError:
            raise unknown from None
        return items.api_key_from(item)
