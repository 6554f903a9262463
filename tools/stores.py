"""Check a store master before it is deployed: all problems with their lines, or what the file has.

``make stores`` runs it.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from local.checkout import ROOT
from retail_pulse.storage.store_master import StoreMaster, StoreMasterError

_STORE_MASTER = ROOT / "store_master.csv"
_SHOWN = 50


def _check(path: Path) -> int:
    try:
        stores = list(StoreMaster.read(path))
    except StoreMasterError as error:
        for problem in error.problems[:_SHOWN]:
            print(problem)
        rest = len(error.problems) - _SHOWN
        print(f"problems: {len(error.problems)}" + (f", {rest} of them not shown" if rest > 0 else ""), file=sys.stderr)
        return 1
    print(f"{path.name}: {len(stores)} stores in {len({store.area_code for store in stores})} areas")
    for what, count in (
        ("a name", sum(not store.name for store in stores)),
        ("an area", sum(not store.area_code for store in stores)),
    ):
        if count:
            print(f"warning: {count} stores do not have {what}")
    if not stores:
        print("warning: without a store, every image fails as unknown_store")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.stores", description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, default=_STORE_MASTER, help="a file; store_master.csv by default")
    return _check(parser.parse_args(arguments).file)


if __name__ == "__main__":
    sys.exit(main())
