"""Tests can connect only to loopback addresses; `addopts` in pyproject.toml makes sure of it."""

import socket

import pytest
from pytest_socket import SocketConnectBlockedError


@pytest.mark.filterwarnings("ignore:A test tried to use socket")
@pytest.mark.parametrize("address", ["192.0.2.1", "10.0.0.1", "2001:db8::1"])
def test_an_address_beyond_loopback_is_refused(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as client, pytest.raises(SocketConnectBlockedError):
        client.connect((address, 80))


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2"])
def test_loopback_is_open(address: str) -> None:
    with socket.create_server((address, 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert client.getpeername() == server.getsockname()
