"""Zip archives of functions and layers, for the deployment."""

import hashlib
import io
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

# Python's caches, and what only `sam build` needs; see `layer_bundle`.
_LEFT_OUT = {"__pycache__", "requirements.txt", "Makefile", "platforms.txt"}
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Bundle:
    """An archive whose key is derived from its content, so that unchanged code is not deployed again."""

    key: str
    content: bytes


def function_bundle(folder: Path) -> Bundle:
    """Pack a function's folder, with its files at the top of the archive."""
    return _bundle(folder, "")


def layer_bundle(folder: Path) -> Bundle:
    """Pack a layer's folder under ``python/``, where the runtime looks for packages.

    ``sam build`` runs the layer's ``Makefile``, which installs its requirements and compiles them. Here that is not
    needed: the emulator's workers run on the stack's interpreter and see its packages, which have the same lock.
    """
    return _bundle(folder, "python/")


def _bundle(folder: Path, prefix: str) -> Bundle:
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        # The emulator rejects an archive without entries; the folder's entry keeps a layer without files valid.
        archive.writestr(zipfile.ZipInfo(prefix or "./", _EPOCH), b"")
        for path in _files(folder):
            # A fixed time makes equal content equal bytes. The read follows links, such as the store master.
            entry = zipfile.ZipInfo(prefix + path.relative_to(folder).as_posix(), _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, path.read_bytes())
    content = buffer.getvalue()
    return Bundle(f"{folder.name}-{hashlib.sha256(content).hexdigest()}.zip", content)


def _files(folder: Path) -> list[Path]:
    found = []
    for directory, names, files in os.walk(folder, followlinks=True):
        names[:] = [name for name in names if name not in _LEFT_OUT]
        found += [Path(directory, name) for name in files if name not in _LEFT_OUT]
    return sorted(found)
