"""The embedded stack as a context manager, for tests, benchmarks and the demo."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from local.checkout import ROOT
from local.emulator.clients import client
from local.stack.messages import StackInfo

_START_SECONDS = 60.0
# Longer than the supervisor's grace period.
_END_SECONDS = 20.0


class StackError(RuntimeError):
    """The stack did not start; the text includes its output and the end of its log."""


class StackProcess:
    """``python -m local.stack.serve`` as a subprocess: up inside the ``with`` block, gone without a trace after it.

    Entering the block returns once ``GET /api/health`` has answered through the whole stack, after some seconds. Every
    instance has its own port, folder and data, so several may run at once. The stack also ends when the process that
    started it dies, however it dies. Its attributes from the start on are those of `StackInfo`.

    Parameters
    ----------
    parameters
        Template parameters that differ from what ``local.stack.serve`` passes, such as ``{"DelayMaxSeconds": "0.1"}``.
    state_dir
        Keeps jobs, keys and the log over restarts; without it they are deleted with the stack.
    root
        The project whose ``infra/template.yaml`` is deployed.

    Raises
    ------
    StackError
        On entering, when the stack ends unexpectedly or is not ready in time.

    Examples
    --------
    >>> with StackProcess(parameters={"DelayMaxSeconds": "0.1"}) as stack:  # doctest: +SKIP
    ...     headers = {"x-api-key": stack.api_key}
    ...     answer = requests.post(f"{stack.url}/api/submit", json=body, headers=headers, timeout=30)
    ...     item = stack.client("dynamodb").get_item(TableName=stack.table_name, Key=key)
    """

    url: str
    endpoint_url: str
    secret: str
    api_key: str
    table_name: str
    queue_url: str
    dead_letter_queue_url: str
    stack_name: str
    region: str
    pid: int
    log: Path

    def __init__(
        self,
        *,
        parameters: Mapping[str, str] | None = None,
        state_dir: Path | None = None,
        root: Path = ROOT,
    ) -> None:
        self._arguments = ["--port", "0", "--root", str(root)]
        self._arguments += ["--state-dir", str(state_dir)] if state_dir else []
        for name, value in (parameters or {}).items():
            self._arguments += ["--parameter", f"{name}={value}"]
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._output: list[str] = []
        self._ready = threading.Event()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the stack and wait until it is ready; raise `StackError` as on entering."""
        with tempfile.TemporaryDirectory(prefix="retail-pulse-info-") as directory:
            info_file = Path(directory) / "info.json"
            command = [sys.executable, "-m", "local.stack.serve", *self._arguments]
            self._ready.clear()
            self._output.clear()
            self._process = subprocess.Popen(
                [*command, "--info-file", str(info_file), "--until-stdin-closes"],
                cwd=ROOT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                # An interrupt from the keyboard must reach only the process that started the stack.
                start_new_session=True,
            )
            self._reader = threading.Thread(target=self._read_output, args=(self._process,), daemon=True)
            self._reader.start()
            in_time = self._ready.wait(_START_SECONDS)
            if not in_time or not info_file.exists():
                self.stop()
                why = "ended before it was ready" if in_time else f"was not ready after {_START_SECONDS:g} s"
                raise StackError(f"the stack {why}:\n{self.output}")
            info = StackInfo.from_json(info_file.read_text(encoding="utf-8"))
        vars(self).update(asdict(info), log=Path(info.log))

    def stop(self, signal_number: int = signal.SIGTERM) -> int | None:
        """End the stack by a signal and wait for it: SIGTERM and SIGINT keep its state, SIGKILL does not.

        Return the exit code of ``local.stack.serve``, 0 for a proper end, or None when it was not running.
        """
        process, self._process = self._process, None
        if process is None:
            return None
        try:
            code = end(process, signal_number)
        finally:
            if process.stdin:
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.close()
        # An interrupt may have cut short its start.
        if self._reader and self._reader.is_alive():
            self._reader.join()
        return code

    def client(self, service: str) -> Any:
        """Return a boto3 client of this stack, such as ``client("dynamodb")``."""
        return client(service, self.endpoint_url, self.secret)

    @property
    def has_ended(self) -> bool:
        """Whether the stack has ended unexpectedly."""
        return self._process is not None and self._process.poll() is not None

    @property
    def output(self) -> str:
        """The output of ``local.stack.serve`` so far."""
        return "".join(self._output)

    def _read_output(self, process: subprocess.Popen[str]) -> None:
        if process.stdout:
            with process.stdout:
                for line in process.stdout:
                    self._output.append(line)
                    if line.strip() == "ready":
                        self._ready.set()
        self._ready.set()


def end(process: "subprocess.Popen[Any]", signal_number: int = signal.SIGTERM) -> int:
    """End a process by a signal, or kill it when that takes too long; return its exit code."""
    process.send_signal(signal_number)
    try:
        return process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
