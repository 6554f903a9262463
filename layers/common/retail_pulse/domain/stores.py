"""Stores, as listed in the store master."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Store:
    """One store of the store master."""

    store_id: str
    name: str
    area_code: str
