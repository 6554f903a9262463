"""make redrive on the whole stack: dead letters come back to process."""

import pytest

from local.stack.process import StackProcess
from retail_pulse.domain.chunks import Pointer, Scope
from retail_pulse.storage.queue import encode
from tests.support.waiting import END_SECONDS, wait_until
from tools import redrive


def test_a_dead_letter_is_sent_back_and_processed(stack: StackProcess, capsys: pytest.CaptureFixture[str]) -> None:
    sqs = stack.client("sqs")
    pointer = Pointer("local", 123, "gone", 0, 1, Scope.ALL)
    sqs.send_message(QueueUrl=stack.dead_letter_queue_url, MessageBody=encode(pointer))

    assert redrive.main(["--url", stack.url, "--yes"]) == 0

    _, row, end = capsys.readouterr().out.splitlines()
    assert row.split()[:3] == ["local", "123", "1"]
    assert end == "messages sent back: 1"
    # Its chunk does not exist, so process drops it.
    wait_until(lambda: '"dropped":1' in stack.log.read_text(encoding="utf-8"), END_SECONDS)
    assert redrive.main(["--url", stack.url]) == 0
    assert capsys.readouterr().out == "no dead letter is visible\n"


def test_without_a_stack_nothing_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    assert redrive.main(["--url", "http://127.0.0.1:9"]) == 1
    assert (
        capsys.readouterr().err
        == "not everything was sent back: no embedded stack of this user runs at http://127.0.0.1:9\n"
    )
