"""The paths of this checkout, and the architecture of this machine."""

import os
import platform
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TEMPLATE = ROOT / "infra" / "template.yaml"
COMMON_LAYER = ROOT / "layers" / "common"
# The PYTHONPATH of every process that runs code of the checkout.
PYTHON_PATH = os.pathsep.join([str(ROOT), str(COMMON_LAYER), str(ROOT / "cli" / "src")])
ARCHITECTURE = "arm64" if platform.machine().lower() in {"arm64", "aarch64"} else "x86_64"
