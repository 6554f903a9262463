"""AWS's list prices, from a data file that names the source of each price."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_FILE = Path(__file__).with_name("prices.json")


@dataclass(frozen=True, slots=True)
class Prices:
    """List prices of one region.

    Parameters
    ----------
    region, as_of
        Where and when the prices applied.
    each
        USD per unit, by name.
    """

    region: str
    as_of: str
    each: Mapping[str, float]

    @classmethod
    def load(cls) -> Self:
        """Read the data file."""
        found = json.loads(_FILE.read_text(encoding="utf-8"))
        each = {name: price["usd"] / price["per"] for name, price in found["prices"].items()}
        return cls(found["region"], found["as_of"], each)

    def cost(self, name: str, quantity: float) -> float:
        """Return the cost of a quantity in USD."""
        return self.each[name] * quantity
