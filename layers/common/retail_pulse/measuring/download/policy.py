"""Which servers may be called: the rules on URLs, ports, host names and addresses."""

from collections.abc import Sequence
from dataclasses import dataclass

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.domain.networks import Network
from retail_pulse.domain.urls import MAX_URL_BYTES
from retail_pulse.measuring.download.addresses import is_allowed


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
    """

    networks: Sequence[Network] = ()
    ports: Sequence[range] = (range(80, 81), range(443, 444))
    hosts: Sequence[str] = ()

    def check_host(self, host: str, port: int) -> None:
        """Check a host name and a port, before the name is resolved.

        Raises
        ------
        MeasuringError
            `blocked_address`: the host name or the port is not allowed.
        """
        if not any(port in ports for ports in self.ports):
            raise MeasuringError(FailureCode.BLOCKED_ADDRESS, f"port {port} of {host} is not among the allowed ports")
        if self.hosts and not any(_matches(host, pattern) for pattern in self.hosts):
            raise MeasuringError(FailureCode.BLOCKED_ADDRESS, f"{host} is not among the allowed hosts")

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


def check_url(url: str) -> None:
    """Check a URL before it is requested.

    Raises
    ------
    MeasuringError
        `invalid_url`: the URL is not http or https, is too long, has no host, or contains credentials or invalid
        characters.
    """
    if len(url.encode(errors="replace")) > MAX_URL_BYTES:
        raise MeasuringError(FailureCode.INVALID_URL, f"the URL is longer than {MAX_URL_BYTES:,} bytes")
    if not url.isprintable() or any(character in url for character in " \\"):
        raise MeasuringError(FailureCode.INVALID_URL, "the URL contains spaces, backslashes or control characters")
    try:
        parts = parse_url(url)
    except LocationParseError as error:
        raise MeasuringError(FailureCode.INVALID_URL, "invalid URL") from error
    if parts.scheme not in ("http", "https"):
        raise MeasuringError(FailureCode.INVALID_URL, "the URL does not start with http:// or https://")
    if not parts.host:
        raise MeasuringError(FailureCode.INVALID_URL, "the URL has no host")
    if parts.auth is not None:
        raise MeasuringError(FailureCode.INVALID_URL, "the URL contains a user name or password")
