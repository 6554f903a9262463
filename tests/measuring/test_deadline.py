"""The deadline applies to what is sent and to what is received."""

import collections
import itertools
import socket
from collections.abc import Callable

import pytest

from retail_pulse.measuring.deadline import deadline
from retail_pulse.measuring.download.sockets import Stream


def test_a_server_that_reads_nothing_meets_the_deadline() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    with listener, socket.create_connection(listener.getsockname()) as client:
        send = Stream(client, 10).send
        with deadline(0.2), pytest.raises(TimeoutError):
            # Until the buffers on both sides are full.
            collections.deque(map(send, itertools.repeat(bytes(1 << 20), 1000)), maxlen=0)


@pytest.mark.parametrize(
    "receive", [lambda stream: stream.block(1), lambda stream: stream.line(1), lambda stream: stream.wait_for_answer()]
)
def test_a_server_that_sends_nothing_meets_the_deadline(receive: Callable[[Stream], object]) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, deadline(0.2), pytest.raises(TimeoutError):
        receive(Stream(ours, 10))


def test_a_wait_is_limited_without_a_deadline_too() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(TimeoutError, match="in time"):
        Stream(ours, 0.1).block(1)


def test_nothing_is_received_or_sent_after_the_deadline() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"x\n" * 100)
        stream = Stream(ours, 10)
        with deadline(-1):
            for act in (
                lambda: stream.block(1),
                lambda: stream.line(9),
                lambda: stream.send(b"x"),
                stream.wait_for_answer,
            ):
                with pytest.raises(TimeoutError, match="deadline passed"):
                    act()
