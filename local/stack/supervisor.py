"""Starts the process of the stack, waits for events, and ends the process with everything it started."""

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Self

from local.stack.messages import Order, Report

# From the request to end until the remaining processes are killed.
_GRACE_SECONDS = 10.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StackEndedError(RuntimeError):
    """The process of the stack ended unexpectedly."""


class Supervisor:
    """The process of one stack: started on entering, gone with everything it started on leaving.

    The process gets its own session, so that an interrupt from the keyboard reaches only the supervisor. While the
    supervisor is entered, it handles the signals that ask a program to end.

    Parameters
    ----------
    order
        How to run the stack; ``report_fd`` is set here.
    environment
        Of the process.
    inherited
        Descriptors that the process inherits, the listening socket among them.
    stop_on_input_end
        Whether the end of standard input is also a request to end.
    """

    def __init__(
        self, order: Order, environment: Mapping[str, str], inherited: Sequence[int], *, stop_on_input_end: bool = False
    ) -> None:
        self._selector = selectors.DefaultSelector()
        self._reports, report_fd = os.pipe()
        self._signals, self._signal_end = os.pipe()
        os.set_blocking(self._signal_end, False)
        self._selector.register(self._reports, selectors.EVENT_READ)
        self._selector.register(self._signals, selectors.EVENT_READ)
        if stop_on_input_end:
            self._selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
        self._wakeup_before = signal.set_wakeup_fd(self._signal_end)
        # The wake-up needs a handler in Python, but only the select call acts on the signal.
        self._handlers_before = {each: signal.signal(each, lambda *_: None) for each in _SIGNALS}
        with Path(order.log).open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "local.stack.stack", replace(order, report_fd=report_fd).to_json()],
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=[report_fd, *inherited],
            )
        # From here on the pipe reaches its end when the process ends.
        os.close(report_fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        for each, handler in self._handlers_before.items():
            signal.signal(each, handler)
        signal.set_wakeup_fd(self._wakeup_before)
        self._selector.close()
        for descriptor in (self._reports, self._signals, self._signal_end):
            os.close(descriptor)

    def report(self) -> Report | None:
        """Wait for the report of the stack; return None when the user asks to end first.

        Raise `StackEndedError` when the process ends instead.
        """
        line = b""
        while not line.endswith(b"\n"):
            part = self._wait()
            if part is None:
                return None
            line += part
        return Report.from_json(line.decode())

    def wait(self) -> None:
        """Wait for a request to end: a signal, or the end of standard input.

        Raise `StackEndedError` when the process ends first.
        """
        while self._wait() is not None:
            pass

    def end(self) -> None:
        """End the stack within the grace period, then kill what is left of it. May be called again."""
        if self._process.returncode is not None:
            return
        if self._process.stdin:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        deadline = time.monotonic() + _GRACE_SECONDS
        # Until the process ends, the time is up, or a second signal arrives.
        with suppress(StackEndedError, TimeoutError):
            while self._wait(deadline) is not None:
                pass
        # The process was not waited for yet, so its ID is still taken: the signal cannot reach an unrelated group.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _wait(self, deadline: float | None = None) -> bytes | None:
        """Return a part of the report, or None for a request to end."""
        timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
        ready = [key.fd for key, _ in self._selector.select(timeout)]
        if not ready:
            raise TimeoutError
        if self._signals in ready:
            os.read(self._signals, 1024)
            return None
        if self._reports in ready:
            if part := os.read(self._reports, 1 << 16):
                return part
            raise StackEndedError
        if os.read(sys.stdin.fileno(), 1 << 16):
            return b""
        self._selector.unregister(sys.stdin.fileno())
        return None
