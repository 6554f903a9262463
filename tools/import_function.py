"""Import a built function as a cold start does; `tools.artefacts` runs this with Lambda's Python.

The arguments are the artefact's folders. With ``-I -S`` nothing else is on the path but the standard library.
"""

import ast
import importlib
import sys
from pathlib import Path


def refuse_network(event: str, _arguments: tuple[object, ...]) -> None:
    if event in {"socket.connect", "socket.getaddrinfo"}:
        raise PermissionError(f"{event}: a cold start must not use the network")


def import_later_ones(source: Path) -> None:
    """Import what the functions of a module import only when they are called."""
    for function in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        for node in ast.walk(function) if isinstance(function, ast.FunctionDef) else ():
            if isinstance(node, ast.Import | ast.ImportFrom):
                module = getattr(node, "module", None)
                found = importlib.import_module(module) if module else None
                for alias in node.names:
                    if not hasattr(found, alias.name):
                        importlib.import_module(f"{module}.{alias.name}" if module else alias.name)


sys.path[:0] = sys.argv[1:]
sys.addaudithook(refuse_network)
importlib.import_module("app")
for name, loaded in list(sys.modules.items()):
    if name.partition(".")[0] in {"app", "retail_pulse"} and loaded.__file__:
        import_later_ones(Path(loaded.__file__))
