"""Copy the console's libraries from the locked npm packages: ``make vendor``, or ``--check`` to compare them.

The manifest next to them has each package's version, the lock's hash of it, and the hash of each file.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

from local.checkout import ROOT

NODE = ROOT / "tools" / "node"
VENDOR = ROOT / "functions" / "console" / "static" / "vendor"
MANIFEST = "manifest.json"
LICENSES = "licenses.txt"


class Source(NamedTuple):
    """A vendored file: its package, its path there, and the imports that are written as paths."""

    package: str
    path: str
    imports: tuple[tuple[str, str], ...] = ()


# By the file's name here. Browsers know no bare names of modules, and the policy forbids an inline import map.
FILES = {
    "preact.js": Source("preact", "dist/preact.mjs"),
    "hooks.js": Source("preact", "hooks/dist/hooks.mjs", (('from"preact"', 'from"./preact.js"'),)),
    "htm.js": Source("htm", "dist/htm.module.js"),
    "papaparse.js": Source("papaparse", "papaparse.min.js"),
    "uplot.js": Source("uplot", "dist/uPlot.iife.min.js"),
    "uplot.css": Source("uplot", "dist/uPlot.min.css"),
}
PACKAGES = sorted({source.package for source in FILES.values()})


def _clean(text: str) -> str:
    """Return a text without references to source maps and blanks at the ends of lines, as this repository wants it."""
    lines = [line.rstrip() for line in text.splitlines() if not line.startswith("//# sourceMappingURL=")]
    return "\n".join(lines).strip() + "\n"


def _vendored(modules: Path, source: Source) -> str:
    text = (modules / source.package / source.path).read_text(encoding="utf-8")
    for written, wanted in source.imports:
        if written not in text:
            raise LookupError(f"{source.package}/{source.path} has no {written}")
        text = text.replace(written, wanted)
    return _clean(text)


def _licenses(modules: Path) -> str:
    parts = []
    for package in PACKAGES:
        about = json.loads((modules / package / "package.json").read_text(encoding="utf-8"))
        text = (modules / package / "LICENSE").read_text(encoding="utf-8")
        parts.append(f"{package} {about['version']} ({about['license']})\n\n{_clean(text)}")
    return f"\n{'-' * 80}\n\n".join(parts)


def _manifest(files: dict[str, str], lock: dict[str, Any]) -> dict[str, Any]:
    packages = {}
    for package in PACKAGES:
        locked = lock["packages"][f"node_modules/{package}"]
        packages[package] = {name: locked[name] for name in ("version", "license", "integrity")}
    listed = {name: {"sha256": hashlib.sha256(text.encode()).hexdigest()} for name, text in files.items()}
    for name, source in FILES.items():
        listed[name] |= {"package": source.package, "path": source.path}
    return {"packages": packages, "files": listed}


def vendored(node: Path = NODE) -> dict[str, str]:
    """Return all files of the folder, made from the installed packages and their lock."""
    modules = node / "node_modules"
    lock = json.loads((node / "package-lock.json").read_text(encoding="utf-8"))
    for package in PACKAGES:
        installed = json.loads((modules / package / "package.json").read_text(encoding="utf-8"))["version"]
        locked = lock["packages"][f"node_modules/{package}"]["version"]
        if installed != locked:
            raise LookupError(f"{package} {installed} is installed, and {locked} is locked; run make node")
    files = {name: _vendored(modules, source) for name, source in FILES.items()}
    files[LICENSES] = _licenses(modules)
    return files | {MANIFEST: json.dumps(_manifest(files, lock), indent=2) + "\n"}


def main(arguments: list[str] | None = None) -> int:
    """Write or compare the files; return 1 when they differ."""
    parser = argparse.ArgumentParser(prog="python -m tools.vendor", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file differs")
    chosen = parser.parse_args(arguments)
    different = []
    for name, text in vendored().items():
        path = VENDOR / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            different.append(name)
            if not chosen.check:
                path.write_text(text, encoding="utf-8")
    if chosen.check and different:
        print(f"make vendor would change {', '.join(different)}", file=sys.stderr)
        return 1
    print("functions/console/static/vendor:", "changed" if different else "up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main())
