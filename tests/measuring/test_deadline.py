"""The deadline applies to what is sent and to what is received."""

import collections
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from retail_pulse.measuring.deadline import deadline
from retail_pulse.measuring.download import sockets
from retail_pulse.measuring.download.sockets import Stream
from tests.support.waiting import END_SECONDS, wait_until


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


@pytest.fixture
def tcp() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Return both ends of a TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as ours:
        theirs, _ = listener.accept()
        with theirs:
            yield ours, theirs


def test_a_thread_is_not_woken_for_each_packet_of_what_is_coming(
    tcp: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = tcp
    monkeypatch.setattr(sockets, "_MOMENT_MILLISECONDS", 60_000)
    stream = Stream(ours, 60)

    def send() -> None:
        for _ in range(100):
            time.sleep(0.001)
            theirs.sendall(bytes(1_000))

    sender = threading.Thread(target=send)
    sender.start()
    with deadline(60):
        left, blocks = 100_000, 0
        while left:
            left -= len(stream.block(left))
            blocks += 1
        sender.join()
        assert blocks <= 10
        # A byte that was not asked for is noticed: the socket is as sensitive as before.
        assert stream.is_quiet
        theirs.sendall(b"x")
        wait_until(lambda: not stream.is_quiet, END_SECONDS)


@pytest.mark.parametrize("end", [False, True])
def test_a_byte_of_many_that_are_coming_is_received_and_so_is_the_end(
    end: bool, tcp: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = tcp
    stream = Stream(ours, 60)
    timer = threading.Timer(0.01, theirs.close if end else lambda: theirs.sendall(b"x"))
    timer.start()
    with deadline(60):
        assert bytes(stream.block(100_000)) == (b"" if end else b"x")
    timer.join()
