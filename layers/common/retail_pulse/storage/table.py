"""Requests to the table: single items under conditions, queries, and batches with a deadline.

`UpdateItem` creates an item that does not exist, so every update has a condition.
"""

import random
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

from retail_pulse.domain.errors import StorageUnavailableError
from retail_pulse.storage.errors import ConditionFailedError, PartlyRefusedError, ThrottledError, storage
from retail_pulse.storage.values import Item, Key, Value

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_T = TypeVar("_T")
_V = TypeVar("_V")

# Limits of the service: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
_WRITE_BATCH = 25
_READ_BATCH = 100
# Batches in flight, each on its own connection; see `clients.dynamodb`.
_BATCHES_AT_ONCE = 16
# All batches of one call together: a client waits at most 30 s for its response.
_BATCHES_SECONDS = 12.0
# The waits between attempts are drawn up to the first of these, doubled each time, and up to the second at most.
_FIRST_WAIT_SECONDS = 0.05
_MAX_WAIT_SECONDS = 2.0
# What a marked update contains, and how many random bytes tell one update of an item from another.
_MARK = "#mark = :mark"
_MARK_BYTES = 6
# Attributes as expressions write them; several are reserved words of DynamoDB. No name is a prefix of another.
_NAMES = {f"#{name}": name for name in ("attempts", "mark", "open", "out", "run", "scope", "status", "wait")}


class Table:
    """One DynamoDB table. The client needs room for sixteen connections.

    Reads are consistent, except queries of an index. Every method raises `StorageUnavailableError` when DynamoDB does
    not accept the request, however often it is repeated.
    """

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self._client = client
        self._name = name
        self._pool = ThreadPoolExecutor(_BATCHES_AT_ONCE, thread_name_prefix="dynamodb")

    def get(self, key: Key) -> Item | None:
        """Read an item; None when it does not exist."""
        with storage():
            return self._client.get_item(TableName=self._name, Key=key, ConsistentRead=True).get("Item")

    def put(self, item: Item, condition: str | None = None, values: Mapping[str, Value] | None = None) -> None:
        """Store an item.

        Raises
        ------
        ConditionFailedError
            The condition does not hold; the error has the item that exists.
        """
        request: Any = {"TableName": self._name, "Item": item}
        if condition is not None:
            request |= {"ConditionExpression": condition, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
        if values is not None:
            request["ExpressionAttributeValues"] = values
        with storage():
            self._client.put_item(**request)

    def update(
        self, key: Key, update: str, values: Mapping[str, Value], condition: str, *, item_on_failure: bool = False
    ) -> Item:
        """Update an item and return it as it is now.

        Parameters
        ----------
        update
            The expression. One that sets ``#mark = :mark`` leaves a random mark. The SDK repeats a request whose
            response was lost, and the first one may have made the condition false: the mark shows that it did.
        item_on_failure
            Whether `ConditionFailedError` has the item as it is.

        Raises
        ------
        ConditionFailedError
            The condition does not hold, and the item does not have the mark of this update.
        """
        mark: Value | None = {"S": secrets.token_urlsafe(_MARK_BYTES)} if _MARK in update else None
        request: Any = {
            "TableName": self._name,
            "Key": key,
            "UpdateExpression": update,
            "ConditionExpression": condition,
            "ExpressionAttributeValues": values if mark is None else {**values, ":mark": mark},
            "ReturnValues": "ALL_NEW",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD" if mark or item_on_failure else "NONE",
        }
        names = {name: attribute for name, attribute in _NAMES.items() if name in update or name in condition}
        if names:
            request["ExpressionAttributeNames"] = names
        try:
            with storage():
                return self._client.update_item(**request)["Attributes"]
        except ConditionFailedError as failure:
            if mark and failure.item.get("mark") == mark:
                return failure.item
            raise

    def query(
        self, condition: str, values: Mapping[str, Value], *, index: str | None = None, page: int | None = None,
        descending: bool = False,
    ) -> Iterator[Item]:  # fmt: skip
        """Yield the items of a key condition; a page is read when the one before it is used up.

        Parameters
        ----------
        index
            An index to query in place of the table; it may lag behind.
        page
            Maximum number of items per request; None for as many as fit in 1 MB.
        descending
            Whether the items come in the descending order of their sort keys.
        """
        request: Any = {
            "TableName": self._name,
            "KeyConditionExpression": condition,
            "ExpressionAttributeValues": values,
            **({"ConsistentRead": True} if index is None else {"IndexName": index}),
            **({} if page is None else {"Limit": page}),
            **({"ScanIndexForward": False} if descending else {}),
        }
        while True:
            with storage():
                answer = self._client.query(**request)
            yield from answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def in_parallel(self, call: Callable[[_V], _T], values: Sequence[_V]) -> list[_T]:
        """Call for every value, several at once; a single call runs in the caller's thread."""
        return list(map(call, values) if len(values) == 1 else self._pool.map(call, values))

    def write_all(self, values: Sequence[_V], item_of: Callable[[_V], Item], seconds: float = _BATCHES_SECONDS) -> None:
        """Store an item for each value; a batch makes its items while others are already being sent.

        Raises
        ------
        PartlyRefusedError
            Some items were not accepted within the seconds.
        """
        until = time.monotonic() + seconds

        def write(batch: Sequence[_V]) -> list[tuple[_V, StorageUnavailableError]]:
            made = [(value, item_of(value)) for value in batch]
            return self._write_batch(until, {_key_of(item): (value, item) for value, item in made})

        refused = list(chain.from_iterable(self._each_batch(write, values, _WRITE_BATCH)))
        if refused:
            raise PartlyRefusedError(str(refused[0][1]), [value for value, _ in refused])

    def read_all(self, keys: Sequence[Key]) -> list[Item]:
        """Read items in any order; those that do not exist are left out."""
        until = time.monotonic() + _BATCHES_SECONDS
        return [item for page in self._each_batch(partial(self._read_batch, until), keys, _READ_BATCH) for item in page]

    def _each_batch(self, call: Callable[[Sequence[_V]], _T], values: Sequence[_V], size: int) -> Iterator[_T]:
        """Call for every batch of values, several at once; a single batch runs in the caller's thread."""
        batches = [values[start : start + size] for start in range(0, len(values), size)]
        return map(call, batches) if len(batches) == 1 else self._pool.map(call, batches)

    def _write_batch(
        self, until: float, batch: Mapping[tuple[str, str], tuple[_V, Item]]
    ) -> list[tuple[_V, StorageUnavailableError]]:
        """Store the items of values, by their keys, and return the values that were refused, each with the reason."""
        requests: Any = [{"PutRequest": {"Item": item}} for _, item in batch.values()]
        try:
            for _ in _attempts("write", until):
                # DynamoDB answers with the rest of a batch, or with an error when it accepted nothing of it.
                with suppress(ThrottledError), storage():
                    answer = self._client.batch_write_item(RequestItems={self._name: requests})
                    requests = answer["UnprocessedItems"].get(self._name)
                if not requests:
                    break
        except StorageUnavailableError as error:
            return [(batch[_key_of(request["PutRequest"]["Item"])][0], error) for request in requests]
        return []

    def _read_batch(self, until: float, batch: Sequence[Key]) -> list[Item]:
        keys: Any = batch
        found: list[Item] = []
        for _ in _attempts("read", until):
            with storage():
                answer = self._client.batch_get_item(RequestItems={self._name: {"Keys": keys, "ConsistentRead": True}})
            found += answer["Responses"].get(self._name, [])
            rest = answer["UnprocessedKeys"].get(self._name)
            if rest is None:
                break
            keys = rest["Keys"]
        return found


def _key_of(item: Item) -> tuple[str, str]:
    return item["pk"]["S"], item["sk"]["S"]


def _attempts(what: str, until: float) -> Iterator[None]:
    """Yield once per attempt at a batch, the first at once and the others after a wait, until a monotonic time.

    The SDK does not repeat the rest of a batch that was accepted in part. Waits grow exponentially with full jitter:
    Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.

    Raises
    ------
    StorageUnavailableError
        The time is up, and the caller needs another attempt.
    """
    wait, bound = 0.0, _FIRST_WAIT_SECONDS
    while time.monotonic() + wait <= until:
        if wait:
            time.sleep(wait)
        yield
        wait = random.uniform(0, bound)
        bound = min(_MAX_WAIT_SECONDS, bound * 2)
    raise StorageUnavailableError(f"DynamoDB did not {what} everything in time")
