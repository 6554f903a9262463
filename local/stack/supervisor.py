"""Starting the process of the stack, waiting for what happens to it, and ending it with all it has started."""

import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from local.stack.messages import Order, Report

# From the request to end in order to the end by force.
_GRACE_SECONDS = 10.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StackEndedError(RuntimeError):
    """The process of the stack ended without being asked to."""


class Supervisor:
    """The process of one stack: started on entering, gone with everything it has started on leaving.

    It gets a session of its own, so that an interrupt from the keyboard reaches the supervisor alone. While the
    supervisor is entered, it owns the signals that ask a program to end.

    Parameters
    ----------
    order
        What the stack is to do; ``report_fd`` is filled in here.
    command
        The command that takes the order as its last argument.
    environment
        The environment of the process.
    listener
        The listening socket that the process inherits.
    log
        Where its output goes.
    held
        More descriptors that live as long as the process.
    stop_on_input_end
        Whether the end of standard input is a request to end, too.
    """

    def __init__(
        self,
        order: Order,
        command: Sequence[str],
        environment: Mapping[str, str],
        listener: socket.socket,
        log: Path,
        held: Sequence[int] = (),
        *,
        stop_on_input_end: bool = False,
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
        # A handler in Python is needed for the wake-up; the select call is what acts on it.
        self._handlers_before = {each: signal.signal(each, lambda *_: None) for each in _SIGNALS}
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [*command, order.with_report_fd(report_fd).to_json()],
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=[listener.fileno(), report_fd, *held],
            )
        # From here on the pipe ends when the process does.
        os.close(report_fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
        for each, handler in self._handlers_before.items():
            signal.signal(each, handler)
        signal.set_wakeup_fd(self._wakeup_before)
        self._selector.close()
        for descriptor in (self._reports, self._signals, self._signal_end):
            os.close(descriptor)

    def report(self) -> Report | None:
        """Wait for the report of the stack; None when the user asks to end before it comes.

        Raises
        ------
        StackEndedError
            When the process ends instead.
        """
        line = b""
        while not line.endswith(b"\n"):
            part = self._wait()
            if part is None:
                return None
            line += part
        return Report.from_json(line.decode())

    def until_asked_to_end(self) -> None:
        """Wait for a signal, or for the end of standard input.

        Raises
        ------
        StackEndedError
            When the process ends by itself.
        """
        while self._wait() is not None:
            pass

    def end(self) -> None:
        """End the stack in order within the grace period, and by force what is left after it. May be called again."""
        if self._process.returncode is not None:
            return
        if self._process.stdin:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        deadline = time.monotonic() + _GRACE_SECONDS
        # Until its pipe ends, the time is up, or a second signal says now.
        with suppress(StackEndedError, TimeoutError):
            while self._wait(deadline) is not None:
                pass
        # What it may have left behind. Nobody has waited for the process yet, so its id is taken even if it has ended:
        # the signal cannot reach a stranger.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _wait(self, deadline: float | None = None) -> bytes | None:
        """Return what the stack reports, or None for a request to end."""
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
