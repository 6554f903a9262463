"""API keys as items of the table.

The item of a key says what the key allows. The directory only lists the keys, and no function may read it.
"""

from retail_pulse.domain.api_keys import ApiKey, KeyScope
from retail_pulse.storage.values import Item, Key, attributes, time_from

# The partition that lists the API keys.
KEY_DIRECTORY = "KEYS"
# Expired keys are kept this long: they can be listed, and the log can name them if they are still used.
KEY_GRACE_SECONDS = 90 * 86_400


def api_key_key(key_hash: str) -> Key:
    """Return the table key of an API key, by the hash of the API key."""
    return {"pk": {"S": f"KEY#{key_hash}"}, "sk": {"S": "KEY"}}


def key_entry_key(key_id: str) -> Key:
    """Return the table key of an entry in the directory, which is one partition sorted by client."""
    return {"pk": {"S": KEY_DIRECTORY}, "sk": {"S": key_id}}


def api_key_item(key: ApiKey) -> Item:
    """Write an API key as its item; ``expires_at`` is when DynamoDB deletes the item, later than the key's expiry."""
    times = attributes(created_at=key.created_at, valid_until=key.expires_at, revoked_at=key.revoked_at)
    others = attributes(key_id=key.key_id, client=key.client, daily_images=key.daily_images)
    return {**api_key_key(key.hash), **others, "scopes": {"SS": sorted(key.scopes)}, **times, **_end_of_key(key)}


def api_key_from(item: Item) -> ApiKey:
    """Read an API key from its item."""
    return ApiKey(
        key_id=item["key_id"]["S"],
        hash=item["pk"]["S"].removeprefix("KEY#"),
        client=item["client"]["S"],
        scopes=frozenset(map(KeyScope, item["scopes"]["SS"])),
        created_at=time_from(item["created_at"]["S"]),
        expires_at=time_from(item["valid_until"]["S"]) if "valid_until" in item else None,
        revoked_at=time_from(item["revoked_at"]["S"]) if "revoked_at" in item else None,
        daily_images=int(item["daily_images"]["N"]) if "daily_images" in item else None,
    )


def key_entry_item(key: ApiKey) -> Item:
    """Write an API key's entry in the directory, which says where its item is."""
    return {**key_entry_key(key.key_id), "hash": {"S": key.hash}, **_end_of_key(key)}


def key_hash_from(entry: Item) -> str:
    """Read the hash of an API key, which leads to its item, from its entry in the directory."""
    return entry["hash"]["S"]


def _end_of_key(key: ApiKey) -> Item:
    expires_at = key.expires_at
    return {} if expires_at is None else attributes(expires_at=int(expires_at.timestamp()) + KEY_GRACE_SECONDS)
