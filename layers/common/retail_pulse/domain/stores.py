"""Stores, as listed in the store master."""

from typing import NamedTuple


class Store(NamedTuple):
    """One store of the store master."""

    store_id: str
    name: str
    area_code: str
