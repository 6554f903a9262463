"""Errors of DynamoDB, as errors of the domain."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import BotoCoreError, ClientError

from retail_pulse.domain.errors import StorageUnavailableError

if TYPE_CHECKING:
    from retail_pulse.storage.values import Item
else:
    Item = Any

# The table or the account accepts no more requests at the moment.
_THROTTLES = frozenset({"ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"})


class ThrottledError(StorageUnavailableError):
    """DynamoDB accepts no more requests at the moment, and the SDK's retries did not help."""


class PartlyRefusedError(StorageUnavailableError):
    """DynamoDB did not accept some of many items; ``refused`` are the values that they were made of."""

    def __init__(self, reason: str, refused: Sequence[Any]) -> None:
        self.refused = refused
        super().__init__(reason)


class ConditionFailedError(Exception):
    """The condition of a write does not hold; ``item`` is the item as it is, if the request asked for it."""

    def __init__(self, item: Item) -> None:
        self.item = item
        super().__init__("condition failed")


@contextmanager
def storage() -> Iterator[None]:
    """Translate the errors of botocore.

    Raises
    ------
    ConditionFailedError
        The condition of the write does not hold.
    StorageUnavailableError
        DynamoDB did not accept the request; `ThrottledError` when it may accept it later.
    """
    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "ConditionalCheckFailedException":
            raise ConditionFailedError(cast("Item", error.response.get("Item", {}))) from error
        kind = ThrottledError if code in _THROTTLES else StorageUnavailableError
        raise kind(f"DynamoDB: {code}") from error
    except BotoCoreError as error:
        raise StorageUnavailableError(f"DynamoDB: {type(error).__name__}") from error
