"""Zip archives of functions and layers, for the deployment."""

import hashlib
import io
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.emulator.template import FUNCTION, LAYER, Template, of_type

# Python's caches, and what only `sam build` needs; see `pack`.
_LEFT_OUT = {"__pycache__", "requirements.txt", "Makefile", "platforms.txt"}
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Bundle:
    """An archive whose key is derived from its content, so that unchanged code is not deployed again."""

    key: str
    content: bytes


def pack(template: Template, put: Callable[[Bundle], Any]) -> None:
    """Pack the code of all functions and layers; `put` stores a bundle and returns its URI for the template.

    ``sam build`` runs a layer's ``Makefile``, which installs its requirements and compiles them. Here that is not
    needed: the emulator's workers run on the stack's interpreter and see its packages, which have the same lock.
    """
    # The transform reads the code's URI of every function, even of one that a condition leaves out.
    for properties in of_type(template.body["Resources"], FUNCTION).values():
        properties["CodeUri"] = put(bundle(template.folder / properties["CodeUri"]))
    for properties in template.resources(LAYER).values():
        # The runtime looks for a layer's packages under python/.
        properties["ContentUri"] = put(bundle(template.folder / properties["ContentUri"], "python/"))


def bundle(folder: Path, prefix: str = "") -> Bundle:
    """Pack a folder, with its files under a prefix."""
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
