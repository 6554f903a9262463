"""Who may be called: ports, names and addresses of image servers, and what a URL may say."""

from collections.abc import Sequence
from dataclasses import dataclass

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from retail_pulse.domain.failures import FailureCode, MeasuringError
from retail_pulse.measuring.download.addresses import Network, is_allowed

# What a client may submit (`contract.URL_BYTES`), so that a redirect is given no more.
_URL_BYTES = 2048


@dataclass(frozen=True, slots=True)
class CallPolicy:
    """Who may be called; held against every connection, so at every redirect too.

    Parameters
    ----------
    networks
        Networks that images may come from although they are not public.
    ports
        The ports that may be called.
    hosts
        The host names that may be called: ``img.example.com`` is that name alone, ``*.example.com`` and
        ``.example.com`` are all names below it, at any depth. Names outside of ASCII in their ``xn--`` form. Empty for
        any host.
    """

    networks: Sequence[Network] = ()
    ports: Sequence[range] = (range(80, 81), range(443, 444))
    hosts: Sequence[str] = ()

    def check_host(self, host: str, port: int) -> None:
        """Look at a name and a port before the name is looked up.

        Raises
        ------
        MeasuringError
            `blocked_address`: one of them is not allowed.
        """
        if not any(port in ports for ports in self.ports):
            raise MeasuringError(FailureCode.BLOCKED_ADDRESS, f"port {port} of {host} is not among the allowed ports")
        if self.hosts and not any(_matches(host, pattern) for pattern in self.hosts):
            raise MeasuringError(FailureCode.BLOCKED_ADDRESS, f"{host} is not among the allowed hosts")

    def check_address(self, host: str, address: str) -> None:
        """Look at an address of a host, as `getaddrinfo` or `getpeername` gives it.

        Raises
        ------
        MeasuringError
            `blocked_address`: it is not public, nor in a network that is allowed.
        """
        if not is_allowed(address, self.networks):
            what = "is not a public address" if host == address else "resolves to an address that is not public"
            raise MeasuringError(FailureCode.BLOCKED_ADDRESS, f"{host} {what}")


def _matches(host: str, pattern: str) -> bool:
    name, pattern = host.lower().rstrip("."), pattern.lower().removeprefix("*")
    return name.endswith(pattern) and name != pattern if pattern.startswith(".") else name == pattern


def check_url(url: str) -> None:
    """Look at what a URL says before it is called.

    Raises
    ------
    MeasuringError
        `invalid_url`: it is no http or https URL, is too long, has no host, holds credentials, or characters that no
        URL has.
    """
    if len(url.encode(errors="replace")) > _URL_BYTES:
        raise MeasuringError(FailureCode.INVALID_URL, f"the URL is longer than {_URL_BYTES:,} bytes")
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
