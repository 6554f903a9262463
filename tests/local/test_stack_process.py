"""The embedded stack as a process of another one."""

import threading

import pytest

from local.stack.process import StackProcess


def test_an_interrupt_while_it_starts_leaves_a_stack_that_can_be_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: threading.Thread) -> None:
        raise KeyboardInterrupt

    stack = StackProcess()
    with monkeypatch.context() as patch:
        # The thread that reads the stack's output is what starts last.
        patch.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            stack.start()
    process = stack._process
    assert process is not None
    assert process.stdout is not None
    with process.stdout:  # it stays unread
        assert stack.stop() is not None
    assert process.poll() is not None
