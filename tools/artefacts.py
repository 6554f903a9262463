"""Check what `sam build` made: ``python -m tools.artefacts FOLDER ARCHITECTURE``.

Prints the size of every function and layer. Fails when one has too much or too little, or does not start on Lambda.
"""

import argparse
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from local.checkout import ARCHITECTURE, COMMON_LAYER, ROOT
from local.emulator.template import FUNCTION, LAYER, Template
from local.sam.environment import environment

PACKAGE = COMMON_LAYER / "retail_pulse"
# Lambda's limit for a function with its layers is 250 MB, unpacked. They have 48 MB: this bound reports anything large
# that comes along, which every cold start pays for, while there is still room.
MAX_BYTES = 100 * 1024 * 1024
# The processor's number in an ELF file, the two bytes at 18: a file's content counts, not its name.
ELF_MACHINES = {"arm64": 183, "x86_64": 62}
FOREIGN_PYTHON = re.compile(r"\.cpython-(?!313-)\d+-")
NOT_SHIPPED = {"test", "tests", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".git"}
# A .pyc of CPython 3.13 that is read without a check of its source: magic number, then the flags of PEP 552.
# A check by the source's time always fails on Lambda, because the time is lost on the way.
BYTECODE_HEAD = b"\xf3\x0d\x0d\x0a" + (1).to_bytes(4, "little")
BYTECODE_ENDING = ".cpython-313.pyc"
# Where Lambda unpacks layers.
MOUNT = "/opt"
SERVICE_CLIENT = re.compile(r"""\.client\(\s*["']([\w-]+)""")
IMPORT_FUNCTION = Path(__file__).with_name("import_function.py")


class BuildError(RuntimeError):
    """A folder is not a build."""


class Build:
    """The folder that `sam build` leaves, ``.aws-sam/build`` by default."""

    def __init__(self, folder: Path) -> None:
        self.template = Template(folder / "template.yaml")
        self.functions = {n: folder / p["CodeUri"] for n, p in self.template.resources(FUNCTION).items()}
        self.layers = {n: folder / p["ContentUri"] for n, p in self.template.resources(LAYER).items()}
        # What is unpacked, in bytes.
        self.sizes = {
            name: sum((folder / path).lstat().st_size for path in _files(folder))
            for name, folder in (self.functions | self.layers).items()
        }
        self.largest = max(self.sizes[n] for n in self.functions) + sum(self.sizes[n] for n in self.layers)

    def architecture(self) -> str:
        """Return what it was built for, by the first library of its layers.

        Raises
        ------
        BuildError
            They have no library for a processor of Lambda.
        """
        for folder in self.layers.values():
            for path in _files(folder):
                if ".so" in path.suffixes and (number := _elf_machine(folder / path)) in ELF_MACHINES.values():
                    return next(name for name, machine in ELF_MACHINES.items() if machine == number)
        raise BuildError("the layers have no library for Lambda: run `make build`")

    def faults(self, architecture: str, python: str = "python3.13") -> Iterator[str]:
        """Yield what is wrong with a build for an architecture; `python` imports the functions if this machine can."""
        for name, folder in self.functions.items():
            found, wanted = set(map(str, _files(folder))), set(map(str, _sources(name)))
            if missing := sorted(wanted - found):
                yield f"{name} lacks {', '.join(missing)}"
            if more := sorted(found - wanted):
                yield f"{name} has {', '.join(more)}, which is not in its folder"
        for name, folder in self.layers.items():
            yield from _layer_faults(name, folder)
            yield from _bytecode_faults(name, folder)
            yield from _machine_faults(name, folder, architecture)
        yield from _content_faults([folder / "python" for folder in self.layers.values()])
        if self.largest > MAX_BYTES:
            yield f"a function with its layers has {self.largest:,} bytes, more than {MAX_BYTES:,}"
        if architecture == ARCHITECTURE:
            yield from self._import_faults(python)

    def _import_faults(self, python: str) -> Iterator[str]:
        """Import every function with the template's variables, and with only the artefact on the path."""
        layers = [folder / "python" for folder in self.layers.values()]
        host = {name: value for name, value in environment().items() if name.startswith(("AWS_", "PATH", "LD_"))}
        for name, folder in self.functions.items():
            command = [python, "-I", "-S", "-B", IMPORT_FUNCTION, folder, *layers]
            variables = host | self.template.environment(name)
            done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
            if done.returncode:
                yield f"{name} cannot be imported: {''.join(done.stderr.splitlines()[-1:])}"


def _sources(function: str) -> list[Path]:
    """Return the files of a function in the checkout, by its logical id, or only app.py for another template's."""
    folder = ROOT / "functions" / function.removesuffix("Function").lower()
    return [path for path in _files(folder) if "__pycache__" not in path.parts] or [Path("app.py")]


def _layer_faults(name: str, folder: Path) -> Iterator[str]:
    outside = sorted(path.name for path in folder.iterdir() if path.name != "python")
    if outside:
        yield f"{name} has {', '.join(outside)} outside python/, which is not on a function's path"
    if (folder / "python" / "python").exists():
        yield f"{name} has a second python/ folder within the first"
    for path in _files(folder):
        if NOT_SHIPPED & set(path.parts):
            yield f"{name} ships {path}"


def _bytecode_faults(name: str, folder: Path) -> Iterator[str]:
    files = _files(folder)
    modules = {
        path.parent / "__pycache__" / f"{path.stem}{BYTECODE_ENDING}": path for path in files if path.suffix == ".py"
    }
    for bytecode, module in modules.items():
        if not (folder / bytecode).is_file():
            yield f"{name} ships {module} without bytecode"
        elif not (content := (folder / bytecode).read_bytes()).startswith(BYTECODE_HEAD):
            yield f"{name}: the bytecode of {module} is not Python 3.13's, or is checked against its source"
        # Tracebacks show this path. With a path of the build machine, every build would differ.
        elif f"{MOUNT}/{module}".encode() not in content:
            yield f"{name}: the bytecode of {module} does not name {MOUNT}/{module}"
    for path in files:
        if path.parent.name == "__pycache__" and path not in modules:
            yield f"{name} ships {path}, which belongs to no module"


def _machine_faults(name: str, folder: Path, architecture: str) -> Iterator[str]:
    for path in _files(folder):
        if ".so" in path.suffixes:
            if (machine := _elf_machine(folder / path)) is None:
                yield f"{name}: {path.name} is not a library for Linux"
            elif machine != ELF_MACHINES[architecture]:
                yield f"{name}: {path.name} is for another processor than {architecture}"
            elif FOREIGN_PYTHON.search(path.name):
                yield f"{name}: {path.name} is for another Python than 3.13"


def _elf_machine(path: Path) -> int | None:
    """Return the number of the processor that an ELF file is for; None for any other file."""
    with path.open("rb") as file:
        head = file.read(20)
    return int.from_bytes(head[18:], "little") if head[:4] == b"\x7fELF" else None


def _content_faults(layers: list[Path]) -> Iterator[str]:
    packages = [package for layer in layers if (package := layer / PACKAGE.name).exists()]
    if len(packages) == 1:
        yield from _package_faults(packages[0])
    else:
        yield f"{len(packages)} layers carry {PACKAGE.name}, not one"
    # The makefile removes botocore's descriptions of the services that no function calls.
    for data in (layer / "botocore" / "data" for layer in layers if (layer / "botocore" / "data").is_dir()):
        for service in sorted(called_services() - {path.name for path in data.iterdir()}):
            yield f"botocore lacks the description of {service}"
    for name, times in Counter(path.name for layer in layers for path in layer.glob("*")).items():
        if times > 1:
            yield f"{name} is in {times} layers"


def _package_faults(package: Path) -> Iterator[str]:
    for name in _files(PACKAGE):
        shipped = package / name
        if (NOT_SHIPPED | {"__pycache__"}) & set(name.parts):
            continue
        if shipped.is_symlink() or not shipped.is_file():
            yield f"{PACKAGE.name} lacks {name}"
        elif shipped.read_bytes() != (PACKAGE / name).read_bytes():
            yield f"{name} of {PACKAGE.name} is not the checkout's"


def called_services() -> set[str]:
    """Return the names of the AWS services that the package makes clients for."""
    return {name for source in PACKAGE.rglob("*.py") for name in SERVICE_CLIENT.findall(source.read_text("utf-8"))}


def _files(folder: Path) -> list[Path]:
    """Return the paths of all files and links, relative to the folder."""
    return [path.relative_to(folder) for path in folder.rglob("*") if path.is_file() or path.is_symlink()]


def main(arguments: list[str] | None = None) -> int:
    """Print sizes and faults; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.artefacts", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="what `sam build` made, such as .aws-sam/build")
    parser.add_argument("architecture", choices=sorted(ELF_MACHINES), help="what it was built for")
    chosen = parser.parse_args(arguments)
    build = Build(chosen.folder.resolve())
    for name, size in build.sizes.items():
        print(f"{name:36} {size / 1024:10,.1f} KB")
    print(f"{'the largest function with its layers':36} {build.largest / 1024:10,.1f} KB of {MAX_BYTES / 1024:,.0f}")
    if chosen.architecture != ARCHITECTURE:
        print(f"imports were not tried: this machine is {ARCHITECTURE}, the build is for {chosen.architecture}")
    faults = list(build.faults(chosen.architecture))
    for fault in faults:
        print(f"wrong: {fault}", file=sys.stderr)
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
