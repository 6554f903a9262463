"""Which servers may be called: the rules on URLs, ports, host names and addresses."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.domain.networks import Network
from retail_pulse.measuring.download.addresses import is_allowed, read_address
from retail_pulse.measuring.download.urls import read_authority

# A name may have thousands of addresses, and checking each takes microseconds.
_MAX_ANSWERS = 16

# As returned by `getaddrinfo`: family, type, protocol, canonical name, address.
AddressInfo = tuple[Any, Any, int, str, tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class CallPolicy:
    """Which servers may be called. Checked for every connection, and so for every redirect.

    Parameters
    ----------
    networks
        Networks that are allowed although they are not public.
    ports
        The allowed ports.
    hosts
        The allowed host names; empty for any. ``img.example.com`` is only that name; ``*.example.com`` and
        ``.example.com`` are all names below it, at any depth. Non-ASCII names are given in their ``xn--`` form.
    own_hosts
        Names of the service's own API, which are refused: at any port, or as ``name:port`` at one.
    """

    networks: Sequence[Network] = ()
    ports: Sequence[range] = (range(80, 81), range(443, 444))
    hosts: Sequence[str] = ()
    own_hosts: Sequence[str] = ()
    _own: frozenset[tuple[str, int | None]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        own = frozenset((name.removesuffix("."), port) for name, port in map(read_authority, self.own_hosts))
        object.__setattr__(self, "_own", own)

    def check_host(self, host: str, port: int) -> None:
        """Check a host name and a port, before the name is resolved.

        Raises
        ------
        MeasuringError
            `blocked_address`: the host name or the port is not allowed, or the service's own.
        """
        self._refuse_own(host, host, port)
        if not any(port in ports for ports in self.ports):
            raise MeasuringError(FailureCode.BLOCKED_ADDRESS, f"port {port} of {host} is not among the allowed ports")
        if self.hosts and not any(_matches(host, pattern) for pattern in self.hosts):
            raise MeasuringError(FailureCode.BLOCKED_ADDRESS, f"{host} is not among the allowed hosts")

    def check_answers(self, host: str, answers: Sequence[AddressInfo]) -> Sequence[AddressInfo]:
        """Return the answers of a look-up that may be called: the first 16, which must all be allowed.

        Parameters
        ----------
        host
            The name that was looked up.
        answers
            What `getaddrinfo` returned.

        Raises
        ------
        MeasuringError
            `blocked_address`: an address is neither public nor in an allowed network, or the service's own.
        """
        checked = answers[:_MAX_ANSWERS]
        for *_, (address, port, *_) in checked:
            self._refuse_own(host, str(read_address(address)), port)
            self.check_address(host, address)
        return checked

    def _refuse_own(self, host: str, name: str, port: int) -> None:
        name = name.removesuffix(".")
        if (name, None) in self._own or (name, port) in self._own:
            raise MeasuringError(FailureCode.BLOCKED_ADDRESS, f"{host} is this service's own address")

    def check_address(self, host: str, address: str) -> None:
        """Check an address of a host, as returned by `getaddrinfo` or `getpeername`.

        Raises
        ------
        MeasuringError
            `blocked_address`: the address is neither public nor in an allowed network.
        """
        if not is_allowed(address, self.networks):
            what = "is not a public address" if host == address else "resolves to an address that is not public"
            raise MeasuringError(FailureCode.BLOCKED_ADDRESS, f"{host} {what}")


def _matches(host: str, pattern: str) -> bool:
    name, pattern = host.lower().rstrip("."), pattern.lower().removeprefix("*")
    return name.endswith(pattern) and name != pattern if pattern.startswith(".") else name == pattern
