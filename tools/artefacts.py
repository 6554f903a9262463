"""Check what `sam build` made: ``python -m tools.artefacts FOLDER ARCHITECTURE``.

Prints the size of every function and layer, and ends non-zero when one holds what it should not, lacks what it
should hold, or was built for another processor.
"""

import argparse
import ast
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "layers" / "common" / "retail_pulse"
# Lambda takes 250 MB of a function together with its layers, unpacked. They have 24 MB: a bound far below says that
# something large has come along, which every cold start pays for, while there is room left to think about it.
MAX_BYTES = 100 * 1024 * 1024
# ELF's number of the processor, the two bytes at 18: what a file holds is worth more than what its name says.
ELF_MACHINES = {"arm64": 183, "x86_64": 62}
FOREIGN_PYTHON = re.compile(r"\.cpython-(?!313-)\d+-")
NOT_SHIPPED = {"test", "tests", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".git"}
# How a .pyc of CPython 3.13 begins that is read without a look at its source: magic number, then the flags of PEP 552.
# To be checked by the source's time would not do: that does not outlive the way to Lambda.
BYTECODE_HEAD = b"\xf3\x0d\x0d\x0a" + (1).to_bytes(4, "little")
BYTECODE_ENDING = ".cpython-313.pyc"
# Where Lambda unpacks layers.
MOUNT = "/opt"
SERVICE_CLIENT = re.compile(r"""\.client\(\s*["']([\w-]+)""")

FUNCTION = "AWS::Serverless::Function"
LAYER = "AWS::Serverless::LayerVersion"


class Build:
    """The folder that `sam build` leaves, ``.aws-sam/build`` by default.

    Parameters
    ----------
    folder
        Where it is.
    """

    def __init__(self, folder: Path) -> None:
        resources = yaml_parse((folder / "template.yaml").read_text(encoding="utf-8"))["Resources"]
        self.functions = {n: folder / r["Properties"]["CodeUri"] for n, r in resources.items() if r["Type"] == FUNCTION}
        self.layers = {n: folder / r["Properties"]["ContentUri"] for n, r in resources.items() if r["Type"] == LAYER}

    def sizes(self) -> dict[str, int]:
        """Return the bytes of every function and layer, unpacked."""
        return {
            name: sum(path.stat().st_size for path in _files(folder))
            for name, folder in (self.functions | self.layers).items()
        }

    def faults(self, architecture: str) -> Iterator[str]:
        """Yield what is wrong, one sentence each.

        Parameters
        ----------
        architecture
            ``arm64`` or ``x86_64``: for what it was built.
        """
        for name, folder in self.functions.items():
            yield from _function_faults(name, folder)
            yield from self._import_faults(name, folder)
        for name, folder in self.layers.items():
            yield from _layer_faults(name, folder)
            yield from _bytecode_faults(name, folder)
            yield from _machine_faults(name, folder, architecture)
        yield from self._faults_of_the_package()
        yield from self._faults_of_the_descriptions()
        yield from self._faults_of_the_whole()

    def _import_faults(self, name: str, folder: Path) -> Iterator[str]:
        """Look for what a handler imports, and what that imports of our own, inside the artefact alone."""
        places = [folder, *(layer / "python" for layer in self.layers.values())]
        waiting, seen = ["app"], {"app"}
        while waiting:
            module = waiting.pop()
            found = _source_of(module, places)
            if found is None:
                yield f"{name}: nothing in the artefact is {module}"
            elif module == "app" or _is_our_own(module):
                wanted = set()
                for imported, names in imports_of(found).items():
                    modules = _modules_among(imported, names, places)
                    wanted |= {imported} | {f"{imported}.{each}" for each in modules}
                    for each in _unbound(imported, names - modules, places):
                        yield f"{name}: {imported} has no {each}"
                waiting += sorted(wanted - seen)
                seen |= wanted

    def _faults_of_the_package(self) -> Iterator[str]:
        carriers = [folder / "python" / "retail_pulse" for folder in self.layers.values()]
        packages = [package for package in carriers if package.exists()]
        if len(packages) != 1:
            yield f"{len(packages)} layers carry retail_pulse, not one"
            return
        stores = packages[0] / "storage" / "store_master.csv"
        if stores.is_symlink() or not stores.is_file():
            yield "store_master.csv is no file of its own beside the package"
        elif stores.read_bytes() != (ROOT / "store_master.csv").read_bytes():
            yield "store_master.csv is not the one of the checkout"
        for source in PACKAGE.rglob("*.py"):
            module = source.relative_to(PACKAGE)
            if not (packages[0] / module).is_file():
                yield f"retail_pulse lacks {module}"

    def _faults_of_the_descriptions(self) -> Iterator[str]:
        """The makefile leaves out botocore's description of what no function calls."""
        for data in (folder / "python" / "botocore" / "data" for folder in self.layers.values()):
            for service in sorted(called_services()) if data.is_dir() else ():
                if not (data / service).is_dir():
                    yield f"botocore lacks the description of {service}"

    def _faults_of_the_whole(self) -> Iterator[str]:
        names = Counter(path.name for folder in self.layers.values() for path in (folder / "python").glob("*"))
        for name, times in names.items():
            if times > 1:
                yield f"{name} lies in {times} layers"
        sizes = self.sizes()
        largest = max((sizes[name] for name in self.functions), default=0)
        whole = largest + sum(sizes[name] for name in self.layers)
        if whole > MAX_BYTES:
            yield f"a function with its layers has {whole:,} bytes, more than {MAX_BYTES:,}"


def _function_faults(name: str, folder: Path) -> Iterator[str]:
    found = sorted(path.relative_to(folder).as_posix() for path in _files(folder))
    if found != ["app.py"]:
        yield f"{name} holds {', '.join(found) or 'nothing'}, not app.py alone"


def _layer_faults(name: str, folder: Path) -> Iterator[str]:
    outside = sorted(path.name for path in folder.iterdir() if path.name != "python")
    if outside:
        yield f"{name} holds {', '.join(outside)} outside python/, where no function looks"
    if (folder / "python" / "python").exists():
        yield f"{name} has its python/ folder doubled"
    for path in _files(folder):
        if NOT_SHIPPED & set(path.relative_to(folder).parts):
            yield f"{name} ships {path.relative_to(folder)}"


def imports_of(source: Path) -> dict[str, set[str]]:
    """Return the modules that a source imports, each with the names that it takes from them.

    Wherever in the source they stand; but not the standard library, nor what is for type checking alone.
    """
    found: dict[str, set[str]] = {}
    waiting: list[ast.AST] = [ast.parse(source.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            for alias in node.names:
                found.setdefault(alias.name, set())
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.setdefault(node.module, set()).update(alias.name for alias in node.names)
        else:
            waiting += _children(node)
    return {name: taken for name, taken in found.items() if name.partition(".")[0] not in sys.stdlib_module_names}


def _names_of(source: Path) -> set[str]:
    """Return the names that a module binds."""
    names: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(source.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif not isinstance(node, ast.Lambda):
            waiting += _children(node)
    return names


def _children(node: ast.AST) -> Iterable[ast.AST]:
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        return node.orelse
    return ast.iter_child_nodes(node)


def _is_our_own(module: str) -> bool:
    return module.partition(".")[0] == PACKAGE.name


def _modules_among(module: str, names: set[str], places: Sequence[Path]) -> set[str]:
    """Return which of the names that are taken from a module of our own are modules themselves."""
    return {name for name in names if _is_our_own(module) and _source_of(f"{module}.{name}", places)}


def _unbound(module: str, names: set[str], places: Sequence[Path]) -> list[str]:
    """Return which of the names that are taken from a module of our own it does not bind."""
    source = _source_of(module, places) if _is_our_own(module) else None
    return sorted(names - _names_of(source)) if source else []


def _source_of(module: str, places: Sequence[Path]) -> Path | None:
    """Return the file of a module: its source, or what was compiled from C."""
    path = module.replace(".", "/")
    for place in places:
        parent = (place / path).parent
        candidates = [place / f"{path}.py", place / path / "__init__.py"]
        candidates += parent.glob(f"{Path(path).name}.cpython-313-*.so") if parent.is_dir() else []
        for candidate in candidates:
            if candidate.is_file():
                return candidate
        # A package without a file of its own (PEP 420) has only folders.
        if (place / path).is_dir():
            return place / path / "__init__.py"
    return None


def _bytecode_faults(name: str, folder: Path) -> Iterator[str]:
    compiled = set()
    for source in (path for path in folder.rglob("*.py") if path.is_file()):
        module = source.relative_to(folder).as_posix()
        bytecode = source.parent / "__pycache__" / f"{source.stem}{BYTECODE_ENDING}"
        if not bytecode.is_file():
            yield f"{name} ships {module} without bytecode"
            continue
        compiled.add(bytecode)
        content = bytecode.read_bytes()
        if not content.startswith(BYTECODE_HEAD):
            yield f"{name}: the bytecode of {module} is not of Python 3.13, or is checked against its source"
        # Also what a traceback names; a path of the machine that built it would make every build another.
        elif f"{MOUNT}/{module}".encode() not in content:
            yield f"{name}: the bytecode of {module} does not name {MOUNT}/{module}"
    for path in _files(folder):
        if path.parent.name == "__pycache__" and path not in compiled:
            yield f"{name} ships {path.relative_to(folder)}, which belongs to no module"


def _machine_faults(name: str, folder: Path, architecture: str) -> Iterator[str]:
    for path in _files(folder):
        if ".so" not in path.suffixes:
            continue
        with path.open("rb") as file:
            head = file.read(20)
        if head[:4] == b"\x7fELF" and int.from_bytes(head[18:], "little") != ELF_MACHINES[architecture]:
            yield f"{name}: {path.name} is for another processor than {architecture}"
        elif FOREIGN_PYTHON.search(path.name):
            yield f"{name}: {path.name} is for another Python than 3.13"


def called_services() -> set[str]:
    """Return the names of the AWS services that the package makes clients for."""
    return {name for source in PACKAGE.rglob("*.py") for name in SERVICE_CLIENT.findall(source.read_text("utf-8"))}


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() or path.is_symlink())


def main(arguments: list[str] | None = None) -> int:
    """Print sizes and faults; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.artefacts", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="what `sam build` made, such as .aws-sam/build")
    parser.add_argument("architecture", choices=sorted(ELF_MACHINES), help="what it was built for")
    chosen = parser.parse_args(arguments)
    build = Build(chosen.folder)
    sizes = build.sizes()
    for name, size in sizes.items():
        print(f"{name:36} {size / 1024:10,.1f} KB")
    largest = max(sizes[name] for name in build.functions) + sum(sizes[name] for name in build.layers)
    print(f"{'the largest function with its layers':36} {largest / 1024:10,.1f} KB of {MAX_BYTES / 1024:,.0f}")
    faults = list(build.faults(chosen.architecture))
    for fault in faults:
        print(f"wrong: {fault}", file=sys.stderr)
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
