"""AWS's list prices in one region, from a data file that names the source of each price."""

import json
from pathlib import Path

_FILE = json.loads(Path(__file__).with_name("prices.json").read_text(encoding="utf-8"))
REGION: str = _FILE["region"]
AS_OF: str = _FILE["as_of"]
_EACH: dict[str, float] = {name: price["usd"] / price["per"] for name, price in _FILE["prices"].items()}


def cost(name: str, quantity: float) -> float:
    """Return the cost of a quantity in USD, by the name of its price."""
    return _EACH[name] * quantity
