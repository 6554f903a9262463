"""The rules on hosts and look-ups that `CallPolicy` applies: the service's own names, and names with many addresses."""

import ipaddress
import socket
from typing import Any

import pytest

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.measuring.download import policy as policy_module
from retail_pulse.measuring.download.policy import CallPolicy
from retail_pulse.measuring.download.urls import Target

PUBLIC = "93.184.216.34"
POLICY = CallPolicy(
    [ipaddress.ip_network("127.0.0.0/8")],
    [range(1, 65536)],
    own_hosts=("api.example.test", "Shop.Example.Test.", "xn--bcher-kva.test", "pc.test:8443", "127.0.0.1:8080"),
)


def answers(*addresses: str, port: int = 80) -> list[Any]:
    """Return what `getaddrinfo` returns for a name with these addresses."""
    return [info for address in addresses for info in socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)]


def check_url(url: str, policy: CallPolicy = POLICY) -> None:
    target = Target.parse(url)
    policy.check_host(target.host, target.port)


class TestOwnNames:
    @pytest.mark.parametrize(
        "authority",
        [
            "api.example.test", "API.EXAMPLE.TEST", "api.example.test.", "api.example.test:443",
            "api.example.test:8080", "ａｐｉ.example。test", "a\u00adpi.example.test", "%61pi.example.test",
            "@api.example.test", "shop.example.test", "SHOP.example.test.:81", "bücher.test", "BÜCHER.test.",
            "b%C3%BCcher.test", "XN--BCHER-KVA.test", "pc.test:8443", "PC.test.:08443", "127.0.0.1:8080",
            "127.1:8080", "0x7f000001:8080", "１２７.0.0.1:8080",
        ],
    )  # fmt: skip
    def test_are_refused_however_they_are_written(self, authority: str) -> None:
        with pytest.raises(MeasuringError, match="is this service's own address") as caught:
            check_url(f"http://{authority}/docs")
        assert caught.value.code is FailureCode.BLOCKED_ADDRESS

    @pytest.mark.parametrize(
        "authority",
        [
            "img.example.test", "a.api.example.test", "example.test", "xapi.example.test",
            "api.example.test.evil.test", "pc.test", "pc.test:443", "pc.test:8444", "127.0.0.1", "127.0.0.1:8081",
            "127.0.0.2:8080", "bucher.test",
        ],
    )  # fmt: skip
    def test_do_not_include_others(self, authority: str) -> None:
        check_url(f"http://{authority}/docs")

    def test_are_refused_although_they_are_allowed_hosts(self) -> None:
        policy = CallPolicy(hosts=("api.example.test",), own_hosts=("api.example.test",))
        with pytest.raises(MeasuringError, match="own address"):
            check_url("https://api.example.test/", policy)

    @pytest.mark.parametrize("address", ["127.0.0.1", "::ffff:127.0.0.1"])
    def test_are_refused_by_their_address(self, address: str) -> None:
        with pytest.raises(MeasuringError, match=r"a\.test is this service's own address"):
            POLICY.check_answers("a.test", answers(PUBLIC, address, port=8080))
        assert POLICY.check_answers("a.test", answers(PUBLIC, address, port=8081))

    @pytest.mark.parametrize("name", ["", "a b.test", "me@api.example.test", "api.example.test:http", "a..test"])
    def test_are_valid(self, name: str) -> None:
        with pytest.raises(MeasuringError):
            CallPolicy(own_hosts=(name,))


class TestAName:
    def test_with_many_addresses_costs_as_much_as_with_16(self, monkeypatch: pytest.MonkeyPatch) -> None:
        checked = []

        def is_allowed(address: str, _: object) -> bool:
            checked.append(address)
            return True

        monkeypatch.setattr(policy_module, "is_allowed", is_allowed)
        many = answers(PUBLIC) * 4_000
        assert CallPolicy().check_answers("many.test", many) == many[:16]
        assert len(checked) == 16

    @pytest.mark.parametrize("place", range(16))
    def test_must_have_only_allowed_ones_among_the_first_16(self, place: int) -> None:
        found = answers(*[PUBLIC] * place, "10.0.0.1", *[PUBLIC] * 20)
        with pytest.raises(MeasuringError, match="resolves to an address that is not public"):
            CallPolicy().check_answers("mixed.test", found)

    def test_never_leads_to_the_17th(self) -> None:
        found = answers(*[PUBLIC] * 16, "10.0.0.1")
        assert CallPolicy().check_answers("mixed.test", found) == answers(*[PUBLIC] * 16)
