"""`pulse` with folders of its own, and a stand-in for the service."""

import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pulse.__main__ import main
from tests.cli.service import StandIn

KEY = "rpk_a-secret-key"


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class Pulse:
    """Runs the command line in this process, with an environment and folders of its own."""

    folder: Path
    patch: pytest.MonkeyPatch

    def run(self, *arguments: str, stdin: str = "") -> Done:
        buffers = io.BytesIO(), io.BytesIO()
        output, errors = (io.TextIOWrapper(buffer, encoding="utf-8", newline="") for buffer in buffers)
        with self.patch.context() as patched:
            patched.setattr(sys, "argv", ["pulse", *arguments])
            patched.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8"))
            patched.setattr(sys, "stdout", output)
            patched.setattr(sys, "stderr", errors)
            with pytest.raises(SystemExit) as ended:
                main()
        output.flush()
        errors.flush()
        texts = [buffer.getvalue().decode() for buffer in buffers]
        assert "Traceback" not in "".join(texts)
        assert KEY not in "".join(texts)
        return Done(int(ended.value.code or 0), *texts)

    def write(self, name: str, *rows: str) -> str:
        (self.folder / name).write_text("\n".join(["store_id,visit_time,image_url", *rows]) + "\n", encoding="utf-8")
        return name


@pytest.fixture
def service() -> Iterator[StandIn]:
    with StandIn() as running:
        yield running


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pulse:
    """A user who has no URL and no key yet."""
    for name in ("PULSE_URL", "PULSE_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name, folder in {"HOME": "", "XDG_CONFIG_HOME": "config", "XDG_STATE_HOME": "state"}.items():
        monkeypatch.setenv(name, str(tmp_path / folder))
    monkeypatch.setenv("PULSE_TRACEBACK", "1")
    monkeypatch.chdir(tmp_path)
    return Pulse(tmp_path, monkeypatch)


@pytest.fixture
def pulse(stranger: Pulse, service: StandIn, monkeypatch: pytest.MonkeyPatch) -> Pulse:
    """A user of the stand-in."""
    monkeypatch.setenv("PULSE_URL", service.url)
    monkeypatch.setenv("PULSE_KEY", KEY)
    return stranger
