"""The deadline applies to what is sent and to what is received."""

import collections
import itertools
import socket

import pytest

from retail_pulse.measuring.deadline import deadline
from retail_pulse.measuring.download.sockets import DeadlineSocket


@pytest.mark.parametrize("method", ["send", "sendall"])
def test_a_server_that_reads_nothing_meets_the_deadline(method: str) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    with listener, DeadlineSocket() as client:
        client.connect(listener.getsockname())
        send = getattr(client, method)
        with deadline(0.2), pytest.raises(TimeoutError):
            # Until the buffers on both sides are full.
            collections.deque(map(send, itertools.repeat(bytes(1 << 20), 1000)), maxlen=0)


def test_nothing_is_received_or_sent_after_the_deadline() -> None:
    with DeadlineSocket() as client, deadline(-1):
        for act in (lambda: client.recv_into(bytearray(1)), lambda: client.send(b"x"), lambda: client.sendall(b"x")):
            with pytest.raises(TimeoutError, match="deadline passed"):
                act()
