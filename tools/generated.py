"""A file that a command writes from its sources, and that ``--check`` compares with them."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def write_or_check(path: Path, content: Any, target: str, arguments: Sequence[str] | None) -> int:
    """Write JSON into a file or, with ``--check``, compare; return the exit code.

    Parameters
    ----------
    target
        The make target that writes the file.
    arguments
        Those of the command line; None for the process's own.
    """
    parser = argparse.ArgumentParser(description=f"Write {path.name}.")
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    if not parser.parse_args(arguments).check:
        path.write_text(text, encoding="utf-8")
    elif not path.exists() or path.read_text(encoding="utf-8") != text:
        print(f"{path.name} is out of date: run `make {target}`", file=sys.stderr)
        return 1
    return 0
